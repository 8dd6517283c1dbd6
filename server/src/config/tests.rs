use super::*;
use app::model::connection::Priority;

fn read<const N: usize>(pairs: [(&str, &str); N]) -> Config {
    Config::read(&pairs.into()).expect("a good configuration")
}

fn enabled(config: &Config) -> Vec<bool> {
    config.connections.iter().map(|connection| connection.enabled).collect()
}

#[test]
fn nothing_set_is_the_simulator_with_three_connections() {
    let config = read([]);
    assert_eq!(config.feed, Feed::Simulator);
    assert_eq!(enabled(&config), [true, true, true]);
    let names: Vec<_> = config.connections.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["primary", "secondary", "tertiary"]);
    assert_eq!(config.connections[1].universe_key.as_deref(), Some("finance_sector:large_cap"));
    assert_eq!(config.connections[2].priority, Priority::Low);
}

#[test]
fn a_server_is_one_of_several_with_redis_and_a_feed_of_ours_and_only_then_it_can_leave_collecting_to_others() {
    let redis = ("REDIS_URL", "redis://127.0.0.1");
    assert!(!read([]).is_among_several());
    assert!(read([redis]).is_among_several());
    assert!(!read([redis, ("MARKET_FEED", "redis")]).is_among_several());
    let dashboard = read([redis, ("MONITOR_ROLE", "dashboard"), ("SERVER_NAME", "desk-1.example:3000")]);
    assert_eq!(
        (dashboard.role, dashboard.server_name.as_deref()),
        (MonitorRole::Dashboard, Some("desk-1.example:3000"))
    );
    let wrong = [("MONITOR_ROLE", "dashboard"), ("SERVER_NAME", "<b>")];
    let problems: Vec<_> = Config::read(&wrong.into()).unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].starts_with("MONITOR_ROLE=\"dashboard\": expected auto"), "{problems:?}");
}

#[test]
fn single_mode_runs_connection_1_whatever_the_others_say() {
    let config = read([
        ("USE_MULTI_CONNECTION", "false"),
        ("WEBSOCKET_CONNECTION_2_ENABLED", "true"),
        ("SYMBOL_UNIVERSE_KEY", "dow30"),
    ]);
    assert_eq!(enabled(&config), [true, false, false]);
    assert_eq!(config.connections[0].universe_key.as_deref(), Some("dow30"));
}

#[test]
fn multi_mode_runs_what_is_enabled() {
    let config = read([
        ("USE_MULTI_CONNECTION", "true"),
        ("WEBSOCKET_CONNECTION_1_ENABLED", "true"),
        ("WEBSOCKET_CONNECTION_1_SYMBOLS", " AAPL, MSFT ,AAPL,BRK.B"),
        ("WEBSOCKET_CONNECTION_3_ENABLED", "yes"),
    ]);
    assert_eq!(enabled(&config), [true, false, true]);
    let symbols: Vec<_> = config.connections[0].symbols.iter().map(ToString::to_string).collect();
    assert_eq!(symbols, ["AAPL", "MSFT", "BRK.B"]);
}

#[test]
fn a_key_means_the_real_provider_unless_switched_off() {
    assert_eq!(read([("MASSIVE_API_KEY", "k")]).feed, Feed::Massive);
    assert_eq!(read([("MASSIVE_API_KEY", "k"), ("USE_MASSIVE_API", "false")]).feed, Feed::Simulator);
}

#[test]
fn every_problem_is_reported_at_once_and_no_secret_is_printed() {
    let variables = [
        ("MARKET_FEED", "telepathy"),
        ("METRICS_INTERVAL_MS", "5"),
        ("LEPTOS_SITE_ADDR", "localhost"),
        ("REDIS_URL", "http://:hunter2@host"),
    ];
    let problems = Config::read(&variables.into()).expect_err("four problems");
    let text: Vec<_> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        text,
        [
            r#"MARKET_FEED="telepathy": expected simulator, massive or redis"#,
            "REDIS_URL: expected a redis://, rediss://, redis+unix:// or redis+sentinel:// address",
            r#"LEPTOS_SITE_ADDR="localhost": expected an address like 127.0.0.1:3000"#,
            r#"METRICS_INTERVAL_MS="5": expected a whole number from 100 to 4000"#,
        ]
    );
}

#[test]
fn a_bad_setting_switches_its_own_connection_off_and_says_so() {
    let config = read([
        ("USE_MULTI_CONNECTION", "true"),
        ("WEBSOCKET_CONNECTION_1_ENABLED", "true"),
        ("WEBSOCKET_CONNECTION_2_ENABLED", "true"),
        ("WEBSOCKET_CONNECTION_2_PRIORITY", "urgent"),
    ]);
    assert_eq!(enabled(&config), [true, false, false]);
    assert_eq!(
        config.connections[1].warnings,
        [r#"switched off: WEBSOCKET_CONNECTION_2_PRIORITY="urgent": expected high, normal or low"#]
    );
}

#[test]
fn a_setting_of_a_slot_that_is_not_there_is_said() {
    let config = read([("WEBSOCKET_CONNECTION_4_NAME", "spare")]);
    assert_eq!(config.warnings.len(), 1);
    assert!(config.warnings[0].to_string().contains("a connection from 1 to 3"), "{}", config.warnings[0]);
}

#[test]
fn a_feed_says_what_it_needs() {
    let problems = Config::read(&[("MARKET_FEED", "redis")].into()).expect_err("no address");
    assert!(problems[0].to_string().starts_with("REDIS_URL: expected"), "{}", problems[0]);
    let problems = Config::read(&[("MARKET_FEED", "massive")].into()).expect_err("no key");
    assert!(problems[0].to_string().starts_with("MASSIVE_API_KEY: expected a key"), "{}", problems[0]);
}

#[test]
fn trusted_proxies_are_addresses_and_networks() {
    let networks = read([("TRUSTED_PROXIES", "10.0.0.0/8, 127.0.0.1,::1")]).dashboard.trusted_proxies;
    let written: Vec<_> = networks.iter().map(ToString::to_string).collect();
    assert_eq!(written, ["10.0.0.0/8", "127.0.0.1/32", "::1/128"]);
    let problems = Config::read(&[("TRUSTED_PROXIES", "10.0.0.0/8,proxy")].into()).expect_err("a name");
    assert!(problems[0].to_string().starts_with(r#"TRUSTED_PROXIES="10.0.0.0/8,proxy": expected addresses"#));
}

#[test]
fn the_public_address_is_an_allowed_host_and_has_no_path() {
    let dashboard =
        read([("PUBLIC_URL", "https://monitor.example.com:8443/"), ("ALLOWED_HOSTS", "monitor, 10.0.0.7")]).dashboard;
    assert_eq!(dashboard.public_url.as_deref(), Some("https://monitor.example.com:8443"));
    assert_eq!(dashboard.public_port(), Some(8443));
    assert_eq!(dashboard.allowed_hosts, ["monitor", "10.0.0.7", "monitor.example.com"]);
    assert!(read([]).dashboard.allowed_hosts.is_empty());
    for url in [
        "monitor.example.com",
        "ftp://monitor.example.com",
        "https://monitor.example.com/tick",
        "https://ann@monitor",
        "https://",
    ] {
        let problems = Config::read(&[("PUBLIC_URL", url)].into()).expect_err(url);
        assert!(problems[0].to_string().contains("expected the address that people type"), "{}", problems[0]);
    }
    for hosts in ["monitor:3000", "http://monitor", "*", "a b", "ann@monitor"] {
        let problems = Config::read(&[("ALLOWED_HOSTS", hosts)].into()).expect_err(hosts);
        assert!(problems[0].to_string().contains("expected names separated by commas"), "{}", problems[0]);
    }
}

#[test]
fn tls_takes_both_files_and_makes_cookies_secure() {
    let config = read([("TLS_CERT", "cert.pem"), ("TLS_KEY", "key.pem")]);
    assert!(config.dashboard.tls.is_some() && config.dashboard.secure);
    assert!(!read([]).dashboard.secure && read([("COOKIE_SECURE", "true")]).dashboard.secure);
    for (one, other) in [("TLS_CERT", "TLS_KEY"), ("TLS_KEY", "TLS_CERT")] {
        let problems = Config::read(&[(one, "x.pem")].into()).expect_err("one alone");
        assert_eq!(problems[0].to_string(), format!("{other}: expected a PEM file, because {one} is set"));
    }
}

#[test]
fn a_token_or_a_password_that_can_be_guessed_is_refused() {
    for token in ["x", "scrape-me", "aaaaaaaaaaaaaaaaaaaaaaaa", "tickstock-monitor"] {
        let problems = Config::read(&[("METRICS_TOKEN", token)].into()).expect_err(token);
        let text = problems[0].to_string();
        assert!(text.starts_with("METRICS_TOKEN: expected 16 characters or more"), "{text}");
    }
    assert!(read([("METRICS_TOKEN", "3f9ac1d2e8b4570611aa93cd2b7e4f10")]).dashboard.metrics_token.is_some());

    let password = ("ADMIN_PASSWORD", "AcmeTrading2026");
    for names in
        [("PUBLIC_URL", "https://ticks.acmetrading.example"), ("ALLOWED_HOSTS", "desk.example, acmetrading.example")]
    {
        let problem = read([password, names]).accounts.password_problem().expect(names.0).to_string();
        assert!(problem.starts_with("ADMIN_PASSWORD: expected a stronger password"), "{problem}");
    }
    assert_eq!(read([]).accounts.password_problem().map(|problem| problem.to_string()), None);
    // With other problems it is said at once.
    let problems =
        Config::read(&[password, ("AUDIT_RETENTION_DAYS", "x"), ("ALLOWED_HOSTS", "acmetrading.example")].into());
    let named: Vec<_> = problems.unwrap_err().into_iter().map(|problem| problem.variable).collect();
    assert!(named.contains(&"ADMIN_PASSWORD".to_owned()), "{named:?}");
}

#[test]
fn an_address_with_a_password_in_it_is_refused_and_not_repeated() {
    for (name, address) in [
        ("MASSIVE_WEBSOCKET_URL", "wss://ann:hunter2@socket.massive.com/stocks"),
        ("MASSIVE_WEBSOCKET_URL", "wss://hunter2@socket.massive.com/stocks"),
        ("MASSIVE_WEBSOCKET_URL", "https://ann:hunter2@socket.massive.com/stocks"),
        ("MASSIVE_WEBSOCKET_URL", "wss:/ann:hunter2@socket.massive.com"),
        ("MASSIVE_WEBSOCKET_URL", "https://socket.massive.com/stocks?key=hunter2"),
        ("REDIS_URL", "http://:hunter2@127.0.0.1"),
        ("PUBLIC_URL", "https://ann:hunter2@monitor.example.com"),
        ("LEPTOS_SITE_ADDR", "http://ann:hunter2@127.0.0.1:3000"),
        ("DATABASE_URL", "postgres://ann:hunter2@db"),
        ("DATABASE_URL", "sqlite://ann:hunter2@db/monitor"),
    ] {
        let problems = Config::read(&[(name, address)].into()).expect_err(address);
        let text = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        assert!(text.starts_with(name) && text.contains(": expected ") && !text.contains("hunter2"), "{text}");
        assert!(!format!("{problems:?}").contains("hunter2"), "{problems:?}");
    }
    for address in ["ws://127.0.0.1:9100/stocks", "wss://socket.massive.com/stocks?x=1", "ws://[::1]:1"] {
        assert_eq!(read([("MASSIVE_WEBSOCKET_URL", address)]).market.massive_url, address);
    }
    for address in ["socket.massive.com", "ws://", "http://socket.massive.com"] {
        let problems = Config::read(&[("MASSIVE_WEBSOCKET_URL", address)].into()).expect_err(address);
        assert!(problems[0].to_string().starts_with(&format!("MASSIVE_WEBSOCKET_URL={address:?}: expected a ws://")));
    }
    assert!(Config::read(&[("DATABASE_URL", "sqlite://data/monitor@home.db")].into()).is_ok());
}

#[test]
fn a_credential_is_the_variable_of_its_name_and_the_environment_wins() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for (name, value) in [("MASSIVE_API_KEY", "from a credential\n"), ("METRICS_TOKEN", "unused"), ("tls.key", "PEM")] {
        std::fs::write(path(name), value).unwrap();
    }
    std::fs::create_dir(path("FOLDER")).unwrap();
    std::fs::write(path(".env"), "MASSIVE_API_KEY=from a file\nADMIN_EMAIL=ann@example.com\n").unwrap();
    let environment = |folder: &str| {
        [("CREDENTIALS_DIRECTORY", folder), ("METRICS_TOKEN", "from the environment")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    let variables = Variables::over(environment(folder.path().to_str().unwrap()), &path(".env")).unwrap();
    let names = ["MASSIVE_API_KEY", "METRICS_TOKEN", "ADMIN_EMAIL", "tls.key", "FOLDER"];
    let expected = [Some("from a credential"), Some("from the environment"), Some("ann@example.com"), None, None];
    assert_eq!(names.map(|name| variables.get(name)), expected);

    let without = Variables::over(environment("/nonexistent"), &path(".env")).unwrap();
    assert_eq!(without.get("MASSIVE_API_KEY"), Some("from a file"), "a container without secrets");
    std::fs::write(path("ADMIN_PASSWORD"), [0xff, 0xfe]).unwrap();
    let problems = Variables::over(environment(folder.path().to_str().unwrap()), &path(".env")).unwrap_err();
    assert_eq!(problems.iter().map(|problem| problem.variable.as_str()).collect::<Vec<_>>(), ["ADMIN_PASSWORD"]);
}
