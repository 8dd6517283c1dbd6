//! What the browser keeps between visits: small choices of this reader on this screen, and nothing else. A browser that
//! keeps nothing, and the server, answer `None`.

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

#[cfg(feature = "hydrate")]
fn storage() -> Option<web_sys::Storage> {
    leptos::prelude::window().local_storage().ok().flatten()
}
