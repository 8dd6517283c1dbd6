//! Where the pages are, and the address of the one that is shown: of the request on the server, of the window in the browser.

/// The dashboard.
pub const DASHBOARD: &str = "/admin/websockets";
/// The full metrics.
pub const METRICS: &str = "/admin/metrics";
/// The alerts.
pub const ALERTS: &str = "/admin/alerts";
/// The audit log.
pub const AUDIT: &str = "/admin/audit";
/// The dashboard as it was at a moment of the past.
pub const REPLAY: &str = "/admin/replay";
/// Where an administrator looks after the own account.
pub const ACCOUNT: &str = "/admin/account";
/// Where somebody turns on a second factor. Not a page of the app's.
pub const SECOND_FACTOR: &str = "/admin/account/second-factor";
/// Where screens on walls are paired. Not a page of the app's.
pub const SCREENS: &str = "/admin/account/screens";
/// Where the code of a second factor is asked for. Not a page of the app's.
pub const LOGIN_CODE: &str = "/login/code";
/// Where signing in at the identity provider begins. Not a page of the app's.
pub const LOGIN_OIDC: &str = "/login/oidc";
/// Where everybody signs in.
pub const LOGIN: &str = "/login";
/// All pages of the app.
pub const PATHS: [&str; 7] = [DASHBOARD, METRICS, REPLAY, ALERTS, AUDIT, ACCOUNT, LOGIN];

/// An alert on its page, with its steps and gaps; also where the lists do not have it any more.
#[must_use]
pub fn alert_at(id: &str) -> String {
    let mut query = Query::default();
    query.push("alert".to_owned(), id.to_owned());
    [ALERTS, &query.write(), "#alert"].concat()
}

/// The path, such as `/admin/websockets`.
#[must_use]
pub fn path() -> String {
    #[cfg(feature = "ssr")]
    return of_request(|uri| uri.path().to_owned());
    #[cfg(not(feature = "ssr"))]
    leptos::prelude::window().location().pathname().unwrap_or_default()
}

/// Makes the address have these parameters, as [`Query::write`] writes them, without going anywhere. In the browser only.
pub fn show(query: &str) {
    #[cfg(feature = "hydrate")]
    {
        let window = leptos::prelude::window();
        if let (Ok(history), Ok(path)) = (window.history(), window.location().pathname()) {
            let state = history.state().unwrap_or(wasm_bindgen::JsValue::NULL);
            // Browsers refuse hundreds of changes a minute; the next one will be taken.
            let _ = history.replace_state_with_url(&state, "", Some(&(path + query)));
        }
    }
    #[cfg(not(feature = "hydrate"))]
    let _ = query;
}

/// The parameters.
#[must_use]
pub fn query() -> Query {
    #[cfg(feature = "ssr")]
    return Query::read(&of_request(|uri| uri.query().unwrap_or_default().to_owned()));
    #[cfg(not(feature = "ssr"))]
    Query::read(&leptos::prelude::window().location().search().unwrap_or_default())
}

/// Empty outside a request, as in tests.
#[cfg(feature = "ssr")]
fn of_request(part: impl FnOnce(&leptos::server_fn::axum_export::http::Uri) -> String) -> String {
    use leptos::{prelude::use_context, server_fn::axum_export::http::request::Parts};

    use_context::<Parts>().map(|request| part(&request.uri)).unwrap_or_default()
}

/// The parameters of an address, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads what stands behind the question mark, with it or without.
    #[must_use]
    pub fn read(text: &str) -> Self {
        Self(form_urlencoded::parse(text.trim_start_matches('?').as_bytes()).into_owned().collect())
    }

    /// The value of a parameter; of several the last.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Adds a parameter.
    pub fn push(&mut self, name: String, value: String) {
        self.0.push((name, value));
    }

    /// The text that reads as this, with the question mark; empty where there is no parameter.
    #[must_use]
    pub fn write(&self) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        form_urlencoded::Serializer::for_suffix("?".to_owned(), 1).extend_pairs(&self.0).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_it_was_written() {
        let mut query = Query::default();
        assert_eq!((query.write(), Query::read("?")), (String::new(), Query::default()));
        query.push("q1".to_owned(), "nv, a&b=é+".to_owned());
        query.push("paused".to_owned(), "1".to_owned());
        assert_eq!(query.write(), "?q1=nv%2C+a%26b%3D%C3%A9%2B&paused=1");
        assert_eq!(Query::read(&query.write()), query);
        assert_eq!(Query::read("?q1=nv%2C%20a").get("q1"), Some("nv, a"), "as browsers write it");
        assert_eq!((Query::read("a=1&a=2").get("a"), Query::read("%zz=&&=").get("b")), (Some("2"), None));
    }
}
