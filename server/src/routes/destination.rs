//! Where a sign-in leads.
//!
//! Who was led to it from a page goes back to that page. Nothing but a path of ours is taken for one, so no link can lead a
//! fresh sign-in elsewhere.

pub(crate) use app::address::{DASHBOARD, LOGIN};
use axum::http::uri::PathAndQuery;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// The longest address that a sign-in leads back to, in bytes.
const ADDRESS_BYTES_MAX: usize = 2_048;

/// The sign-in page, which leads back to `address` afterwards.
pub(super) fn leading_back_to(address: &str) -> String {
    login_page(None, destination(Some(address)))
}

pub(super) fn login_page(error: Option<&str>, destination: &str) -> String {
    let next =
        (destination != DASHBOARD).then(|| format!("next={}", utf8_percent_encode(destination, NON_ALPHANUMERIC)));
    let error = error.map(|code| format!("error={code}"));
    let query = [error, next].into_iter().flatten().collect::<Vec<_>>().join("&");
    if query.is_empty() { LOGIN.to_owned() } else { format!("{LOGIN}?{query}") }
}

/// Where a sign-in leads: to the page that was asked for before, if that is one of ours, else to the dashboard. A path below
/// `/admin/` in plain characters, which no browser takes for another host or scheme.
pub(super) fn destination(asked: Option<&str>) -> &str {
    let is_ours = |address: &&str| {
        address.starts_with("/admin/")
            && address.len() <= ADDRESS_BYTES_MAX
            && address.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
            && address.parse::<PathAndQuery>().is_ok()
    };
    asked.filter(is_ours).unwrap_or(DASHBOARD)
}
