//! What the browser keeps between visits: small choices of this reader on this screen, and nothing else. A browser that
//! keeps nothing, and the server, answer `None`.

#[cfg(feature = "hydrate")]
use crate::model::time::UnixMillis;

/// What was kept under a name.
#[must_use]
pub fn kept(name: &str) -> Option<String> {
    #[cfg(feature = "hydrate")]
    return storage()?.get_item(name).ok().flatten();
    #[cfg(not(feature = "hydrate"))]
    {
        let _ = name;
        None
    }
}

/// Keeps a value, or with `None` forgets it.
pub fn keep(name: &str, value: Option<&str>) {
    #[cfg(feature = "hydrate")]
    if let Some(storage) = storage() {
        // A full or forbidden storage costs the choice, not the page.
        let _ = match value {
            Some(value) => storage.set_item(name, value),
            None => storage.remove_item(name),
        };
    }
    #[cfg(not(feature = "hydrate"))]
    let _ = (name, value);
}

/// Did this tab load itself anew within the last minutes? Notes that it does so now where it did not. Where nothing can be noted it
/// counts as done, or it would be done without end.
#[cfg(feature = "hydrate")]
pub fn reloaded_of_late(now: UnixMillis) -> bool {
    const NAME: &str = "tickstock-reloaded";
    const OF_LATE_MS: i64 = 600_000;

    let Ok(Some(tab)) = leptos::prelude::window().session_storage() else { return true };
    let before = tab.get_item(NAME).ok().flatten().and_then(|at| at.parse().ok()).map(UnixMillis);
    before.is_some_and(|at| now.millis_since(at) < OF_LATE_MS) || tab.set_item(NAME, &now.0.to_string()).is_err()
}

#[cfg(feature = "hydrate")]
fn storage() -> Option<web_sys::Storage> {
    leptos::prelude::window().local_storage().ok().flatten()
}
