//! The identity provider: `OIDC_…`.

use super::reader::Reader;
use crate::{
    auth::{OidcConfig, RoleMap},
    problem::Problem,
};
use secrecy::SecretString;
use std::net::IpAddr;
use tokio_tungstenite::tungstenite::http::Uri;

const ISSUER: &str =
    "the issuer as the provider writes it, as in https://id.example.com/realms/trading; http:// on this machine alone";
const ROLE_MAP: &str = "groups and roles, as in ops=admin,desk=moderator: nobody else comes in";

/// `None` without `OIDC_ISSUER`; then the others are a problem.
pub(super) fn read(reader: &mut Reader<'_>) -> Option<OidcConfig> {
    let issuer = reader.text("OIDC_ISSUER");
    let client_id = reader.text("OIDC_CLIENT_ID");
    let client_secret = reader.secret("OIDC_CLIENT_SECRET");
    let scopes = scopes(reader);
    let groups_claim = reader.text("OIDC_GROUPS_CLAIM").unwrap_or("groups").to_owned();
    let roles = reader.text("OIDC_ROLE_MAP");
    let Some(issuer) = issuer else {
        let strays: Vec<_> = reader.variables.names_with("OIDC_").map(str::to_owned).collect();
        if !strays.is_empty() {
            let accepted = format!("{ISSUER}, because {} is set", strays.join(" and "));
            reader.problems.push(Problem::new("OIDC_ISSUER", None, accepted));
        }
        return None;
    };
    tell_strays(reader);
    if !is_issuer(issuer) {
        reader.problem("OIDC_ISSUER", issuer, ISSUER);
    }
    let roles = roles.map(str::parse::<RoleMap>).transpose();
    let roles = roles.unwrap_or_else(|error| {
        reader.problems.push(Problem::new("OIDC_ROLE_MAP", None, format!("{ROLE_MAP} ({error})")));
        Some(RoleMap::default())
    });
    let missing = [
        (client_id.is_none(), "OIDC_CLIENT_ID", "what the identity provider calls this monitor"),
        (
            client_secret.is_none(),
            "OIDC_CLIENT_SECRET",
            "the secret that the identity provider gave for OIDC_CLIENT_ID",
        ),
        (roles.is_none(), "OIDC_ROLE_MAP", ROLE_MAP),
    ];
    for (_, name, accepted) in missing.into_iter().filter(|(is_missing, ..)| *is_missing) {
        reader.problems.push(Problem::new(name, None, format!("{accepted}, because OIDC_ISSUER is set")));
    }
    Some(OidcConfig {
        issuer: issuer.to_owned(),
        client_id: client_id.unwrap_or_default().to_owned(),
        client_secret: client_secret.unwrap_or_else(|| SecretString::from("")),
        scopes,
        groups_claim,
        roles: roles.unwrap_or_default(),
    })
}

/// A misspelt name would be a rule that nobody keeps.
fn tell_strays(reader: &mut Reader<'_>) {
    let is_known = |name: &&str| reader.asked.borrow().contains(*name);
    let strays: Vec<_> =
        reader.variables.names_with("OIDC_").filter(|name| !is_known(name)).map(str::to_owned).collect();
    reader
        .problems
        .extend(strays.iter().map(|name| Problem::new(name, None, "one of the names in docs/configuration.md")));
}

fn scopes(reader: &mut Reader<'_>) -> Vec<String> {
    const ACCEPTED: &str = "scopes separated by spaces, as in openid email profile groups";
    let default = ["email", "profile", "groups"].map(str::to_owned).to_vec();
    reader.read("OIDC_SCOPES", default, ACCEPTED, |value| {
        let is_scope = |scope: &str| scope.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\');
        // `openid` is asked for in any case.
        let scopes = value.split_whitespace().filter(|scope| *scope != "openid");
        scopes.map(|scope| is_scope(scope).then(|| scope.to_owned())).collect()
    })
}

fn is_issuer(value: &str) -> bool {
    let Ok(url) = value.parse::<Uri>() else { return false };
    let Some(host) = url.host().filter(|host| !host.is_empty()) else { return false };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let is_here = bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    let has_scheme = match url.scheme_str() {
        Some("https") => true,
        Some("http") => is_here,
        _ => false,
    };
    has_scheme && url.query().is_none() && !value.contains(['#', '@'])
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Variables};

    const GOOD: [(&str, &str); 4] = [
        ("OIDC_ISSUER", "https://id.example.com/realms/trading"),
        ("OIDC_CLIENT_ID", "monitor"),
        ("OIDC_CLIENT_SECRET", "canary-secret"),
        ("OIDC_ROLE_MAP", "ops=admin,desk=moderator"),
    ];

    fn problems(changed: &[(&str, &str)]) -> Vec<String> {
        let all = GOOD.into_iter().chain(changed.iter().copied());
        let all: std::collections::BTreeMap<_, _> = all.collect();
        let problems = Config::read(&all.into_iter().collect::<Variables>()).err().unwrap_or_default();
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn without_an_issuer_there_is_no_provider_and_what_is_half_configured_is_told() {
        assert!(Config::read(&Variables::default()).unwrap().accounts.oidc.is_none());
        let config = Config::read(&Variables::from(GOOD)).unwrap();
        let oidc = config.accounts.oidc.as_ref().unwrap();
        assert_eq!((oidc.scopes.join(" "), &*oidc.groups_claim), ("email profile groups".to_owned(), "groups"));
        assert!(!format!("{config:?}").contains("canary"));

        assert_eq!(problems(&[("OIDC_ISSUER", "")]).len(), 1);
        let all = problems(&[("OIDC_CLIENT_ID", ""), ("OIDC_CLIENT_SECRET", ""), ("OIDC_ROLE_MAP", "")]);
        assert_eq!(all.len(), 3, "{all:?}");
    }

    #[test]
    fn every_value_is_checked() {
        for issuer in ["https://id.example.com", "http://localhost:8080/x", "http://127.0.0.1:1", "http://[::1]:1/"] {
            assert!(problems(&[("OIDC_ISSUER", issuer)]).is_empty(), "{issuer}");
        }
        for issuer in [
            "id.example.com",
            "http://id.example.com",
            "ftp://id",
            "https://id/?x=1",
            "https://a:b@id",
            "https://id/#x",
        ] {
            assert_eq!(problems(&[("OIDC_ISSUER", issuer)]).len(), 1, "{issuer}");
        }
        for map in ["ops", "ops=root", "=admin"] {
            assert!(problems(&[("OIDC_ROLE_MAP", map)])[0].contains("ops=admin,desk=moderator"), "{map}");
        }
        assert_eq!(problems(&[("OIDC_SCOPES", "openid \"groups")]).len(), 1);
        assert_eq!(problems(&[("OIDC_SCOPE", "openid")]).len(), 1, "misspelt");
    }
}
