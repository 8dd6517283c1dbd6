//! Every route. A new one is a line here: `get` and its like say who may call it, `answers` and `takes` name the types.

use super::{
    super::{
        alerts::{self, AlertList, DestinationList, RuleBody, RuleList, SilenceBody, SilenceList, TestAnswer},
        audit::AuditAnswer,
        connections::Retried,
        history::{self, GapRow},
        login::{CodeForm, LoginForm, LogoutForm},
        machines::Readiness,
        recording::{BoardAnswer, Keep, RecordingAnswer},
        servers::ServersAnswer,
    },
    operation::{Content, Operation, delete, form, get, page, patch, post},
};
use crate::{alerts::AlertData, recording::Kept};
use app::model::{alert::Silence, refresh::RefreshOutcome, status::StatusReport, symbol_detail::SymbolDetail};

const FROM: (&str, &str) = ("from", "At or after this: RFC 3339, or a span before now such as -15m, -24h or -7d");
const TO: (&str, &str) = ("to", "Before this; now when absent");
const CURSOR: (&str, &str) = ("cursor", "`next_cursor` of the page before");
const CONNECTION: (&str, &str) = ("connection", "Numbers of connections, such as 1,3; all when absent");
const FORMAT: (&str, &str) = ("format", "`json` (when absent) or `csv`");
const LIMIT: (&str, &str) = ("limit", "Records at most");
const CSV: &str = "text/csv";

/// All of them, by what they are about.
pub(super) fn groups() -> [(&'static str, &'static str, Vec<Operation>); 9] {
    [
        ("Status", "How connections, symbols and servers are now.", status()),
        ("Control", "What administrators do to connections and configuration.", control()),
        ("History", "What was: samples, events and the gap ledger.", history()),
        ("Recording", "Every tick of the last hours, and what is kept of them.", recording()),
        ("Alerts", "What is wrong, who looks after it, and who is told.", alerts()),
        ("Audit", "Who did what.", audit()),
        ("Machines", "For whoever watches the monitor, and for programs that read descriptions.", machines()),
        ("Sign-in", "Sessions. Programs are better off with a token.", sign_in()),
        ("Pages", "For people: HTML, and the forms in it.", pages()),
    ]
}

fn status() -> Vec<Operation> {
    vec![
        get("/api/admin/websocket-status", "The status of everything, from memory")
            .with_query(&[("unasked", "There: not as a use of the session, for pages that ask by themselves")])
            .answers::<StatusReport>(),
        get("/api/admin/servers", "The servers that run beside each other").answers::<ServersAnswer>(),
        get("/api/admin/symbol", "What is known of one symbol. Asking starts its recording, second by second")
            .needs("symbol", "The symbol, such as AAPL")
            .with_query(&[("connection", "The connection's number; the first that has it when absent")])
            .answers::<SymbolDetail>(),
        get("/admin-ws", "The live socket; /api/asyncapi.json describes what is said on it")
            .empty(101, "The WebSocket is open"),
    ]
}

fn control() -> Vec<Operation> {
    vec![
        post("/api/admin/config/refresh", "Reads the configuration again; what changed is applied")
            .answers::<RefreshOutcome>(),
        post("/api/admin/connections/{id}/retry", "Tries a connection that waits at once")
            .with_path("The connection's number")
            .answers::<Retried>(),
        post("/api/admin/fn/{name}", "What our own pages call. It changes between builds: not for other programs")
            .with_path("The function")
            .bytes(200, "application/octet-stream"),
    ]
}

fn history() -> Vec<Operation> {
    let [samples, events, gaps] = history::ANSWERS.map(Content::Json);
    let list = |path, summary, answer| {
        let list = get(path, summary).with_query(&[FROM, TO, CONNECTION, LIMIT, CURSOR, FORMAT]);
        list.says(200, "The records, oldest first; gaps newest first", answer).text(200, CSV)
    };
    let note =
        |path, summary| post(path, summary).with_path("`id` of the gap").takes::<history::Note>().answers::<GapRow>();
    vec![
        list("/api/admin/history/samples", "Metrics over time", samples)
            .with_query(&[("resolution", "1, 10, 60 or 900 seconds; what fits the range when absent")]),
        list("/api/admin/history/events", "What happened", events).with_query(&[("kind", "The kind of event")]),
        list("/api/admin/history/gaps", "The gap ledger", gaps),
        note("/api/admin/history/gaps/{id}/acknowledge", "Somebody has seen a gap, and says what became of it"),
        note("/api/admin/history/gaps/{id}/notes", "Somebody has more to say of an acknowledged gap"),
    ]
}

fn recording() -> Vec<Operation> {
    vec![
        get("/api/admin/recording", "What is recorded on this server's disk").answers::<RecordingAnswer<'_>>(),
        get("/api/admin/recording/board", "The board as it was at a moment")
            .needs("at", "RFC 3339, or a span before now such as -15m")
            .answers::<BoardAnswer>(),
        get("/api/admin/recording/ticks", "Every tick of a stretch as a file")
            .with_query(&[
                ("from", "At or after this; 60 seconds ago when absent"),
                TO,
                CONNECTION,
                ("symbol", "This one alone"),
                ("format", "`csv` (when absent), `jsonl` or `parquet`"),
            ])
            .text(200, CSV)
            .text(200, "application/x-ndjson")
            .bytes(200, "application/vnd.apache.parquet"),
        post("/api/admin/recording/keep", "Keeps a stretch for good, beyond what is kept of everything")
            .takes::<Keep>()
            .answers_with::<Kept>(201, "What is kept"),
        delete("/api/admin/recording/kept/{id}", "Keeps it no longer")
            .with_path("`id` of what is kept")
            .empty(204, "Done"),
        get("/admin-ws/replay", "The socket of the past; /api/asyncapi.json describes what is said on it")
            .empty(101, "The WebSocket is open"),
    ]
}

fn alerts() -> Vec<Operation> {
    vec![
        get("/api/admin/alerts", "Alerts, the newest first")
            .with_query(&[("state", "`open` (when absent) or `all`"), FROM, TO, CURSOR, LIMIT])
            .answers::<AlertList<'_>>(),
        post("/api/admin/alerts/{id}/acknowledge", "Somebody looks after an alert")
            .with_path("`id` of the alert")
            .may_take::<alerts::Note>()
            .answers::<AlertData<'_>>(),
        get("/api/admin/silences", "Silences that are not over").answers::<SilenceList>(),
        post("/api/admin/silences", "Alerts that match fire without telling anybody, until it ends")
            .takes::<SilenceBody>()
            .answers_with::<Silence>(201, "The silence"),
        delete("/api/admin/silences/{id}", "Ends a silence").with_path("`id` of the silence").empty(204, "Ended"),
        get("/api/admin/alert-rules", "The rules with their numbers").answers::<RuleList>(),
        patch("/api/admin/alert-rules", "Changes a rule; what is not said stays as it is")
            .takes::<RuleBody>()
            .answers::<RuleList>(),
        get("/api/admin/alert-destinations", "Who is told, with the last deliveries; without secrets")
            .answers::<DestinationList>(),
        post("/api/admin/alert-destinations/{name}/test", "Sends a test")
            .with_path("The destination's name")
            .answers::<TestAnswer>(),
    ]
}

fn audit() -> Vec<Operation> {
    vec![
        get("/api/admin/audit", "The audit log, newest first")
            .with_query(&[
                FROM,
                TO,
                ("actor", "By this account: the whole email, `token:NAME`, `cli:USER` or `server`"),
                ("action", "What was done"),
                ("outcome", "`ok`, `refused` or `failed`"),
                ("address", "From this address"),
                ("connection", "Acts on gaps of this connection"),
                LIMIT,
                CURSOR,
                FORMAT,
            ])
            .answers::<AuditAnswer>()
            .text(200, CSV),
    ]
}

fn machines() -> Vec<Operation> {
    vec![
        get("/healthz", "Is the process alive?").for_anybody().text(200, "text/plain"),
        get("/readyz", "Do ticks come in, and can the database be written? Why not is for those who run it")
            .for_anybody()
            .answers::<Readiness>()
            .answers_with::<Readiness>(503, "Not ready"),
        get("/metrics", "Prometheus text; for this machine alone, or with the bearer token METRICS_TOKEN")
            .for_anybody()
            .text(200, "text/plain"),
        get("/api/openapi.json", "This description").text(200, "application/json"),
        get("/api/asyncapi.json", "The same for the live socket and for Redis").text(200, "application/json"),
    ]
}

fn sign_in() -> Vec<Operation> {
    vec![
        form("/login", "Signs in; the answer leads on, or back to /login?error=…, or to /login/code")
            .for_anybody()
            .takes_form::<LoginForm>(),
        form("/login/code", "The second factor of whoever's password was right").for_anybody().takes_form::<CodeForm>(),
        form("/logout", "Signs out").for_anybody(),
        get("/login/oidc", "Leads to the identity provider. 404 where there is none, here and below")
            .for_anybody()
            .with_query(&[
                ("next", "The page to lead to afterwards"),
                ("fresh", "There: whoever is signed in shows the provider once more who they are"),
            ])
            .empty(303, "To the provider, or back to /login?error=…"),
        get("/login/oidc/callback", "Where the provider leads back to: signs in")
            .for_anybody()
            .with_query(&[
                ("code", "What a token is given for"),
                ("state", "As it was sent"),
                ("iss", "The provider"),
                ("error", "Why it let nobody in"),
            ])
            .text(200, "text/html")
            .empty(303, "Not signed in: back to /login?error=…"),
        form("/login/oidc/logout", "The provider says that somebody has signed out there: their sessions end")
            .for_anybody()
            .takes_form::<LogoutForm>()
            .empty(200, "Ended"),
    ]
}

fn pages() -> Vec<Operation> {
    let public = |path, summary| page(path, summary).for_anybody();
    vec![
        get("/", "Leads to the dashboard").for_anybody().empty(303, "To the dashboard"),
        public("/login", "Sign in"),
        public("/login/code", "The code of a second factor"),
        public("/screen", "What a screen on a wall opens"),
        page("/admin/websockets", "The dashboard"),
        page("/admin/metrics", "The full metrics"),
        page("/admin/alerts", "The alerts"),
        page("/admin/replay", "The dashboard as it was").with_query(&[
            ("at", "The moment, RFC 3339"),
            CONNECTION,
            ("window", "The bar's length, such as 60s"),
        ]),
        form("/admin/alerts/acknowledge", "Acknowledges an alert"),
        form("/admin/alerts/silence", "Silences alerts"),
        form("/admin/alerts/silence/end", "Ends a silence"),
        form("/admin/alerts/rule", "Changes a rule"),
        form("/admin/alerts/test", "Sends a test"),
        page("/admin/audit", "The audit log"),
        page("/admin/account", "The own account"),
        form("/admin/account/password", "Changes the password"),
        form("/admin/account/sessions", "Ends sessions"),
        page("/admin/account/second-factor", "The second factor"),
        form("/admin/account/second-factor/start", "Begins to turn it on"),
        form("/admin/account/second-factor/confirm", "Turns it on"),
        form("/admin/account/second-factor/codes", "Makes new recovery codes"),
        form("/admin/account/second-factor/off", "Turns it off"),
        page("/admin/account/screens", "Screens on walls"),
        form("/admin/account/screens", "Pairs a screen"),
        form("/admin/account/screens/end", "Ends a screen"),
        form("/admin/account/tokens", "Makes a token"),
        form("/admin/account/tokens/revoke", "Revokes a token"),
    ]
}
