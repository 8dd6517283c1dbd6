//! Inline icons: 16 by 16, one path, `currentColor`. No icon font, no request.

use crate::model::{connection::ConnectionState, health::LayerState};
use leptos::prelude::*;

/// The path of a state's icon. Each has a shape of its own, so that colour is never the only sign.
#[must_use]
pub fn state_path(state: ConnectionState) -> &'static str {
    use ConnectionState as S;
    match state {
        S::Connected => "M8 3a5 5 0 1 0 0 10A5 5 0 0 0 8 3Z",
        S::Connecting | S::Authenticating | S::Subscribing | S::Reconnecting => {
            "M8 2.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11Zm0 1.6a3.9 3.9 0 0 1 0 7.8Z"
        }
        S::Degraded => "M8 2 15 14H1Z",
        S::Mute => {
            "M8 1.5a1.3 1.3 0 1 1 0 2.6 1.3 1.3 0 0 1 0-2.6ZM12.5 4a1.3 1.3 0 1 1 0 2.6 1.3 1.3 0 0 1 0-2.6Z\
             M12.5 9.4a1.3 1.3 0 1 1 0 2.6 1.3 1.3 0 0 1 0-2.6ZM8 11.9a1.3 1.3 0 1 1 0 2.6 1.3 1.3 0 0 1 0-2.6Z\
             M3.5 9.4a1.3 1.3 0 1 1 0 2.6 1.3 1.3 0 0 1 0-2.6ZM3.5 4a1.3 1.3 0 1 1 0 2.6 1.3 1.3 0 0 1 0-2.6Z"
        }
        S::Failed => "m3.9 2.5 4.1 4 4.1-4 1.4 1.4-4 4.1 4 4.1-1.4 1.4-4.1-4-4.1 4-1.4-1.4 4-4.1-4-4.1Z",
        S::Disabled => "M8 2.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11Zm0 1.6a3.9 3.9 0 1 1 0 7.8 3.9 3.9 0 0 1 0-7.8Z",
    }
}

/// The path of a health layer's icon.
#[must_use]
pub fn layer_path(state: LayerState) -> &'static str {
    match state {
        LayerState::Good => "m6.4 12.6-4-4 1.3-1.3 2.7 2.7 5.9-6 1.3 1.3Z",
        LayerState::Warn => "M8 2 15 14H1Z",
        LayerState::Bad => "m3.9 2.5 4.1 4 4.1-4 1.4 1.4-4 4.1 4 4.1-1.4 1.4-4.1-4-4.1 4-1.4-1.4 4-4.1-4-4.1Z",
        LayerState::Quiet => "M6.2 2.2a6 6 0 1 0 7.6 7.9A5.2 5.2 0 0 1 6.2 2.2Z",
        LayerState::Off | LayerState::Unknown => "M4 7.2H12V8.8H4Z",
    }
}

/// Something needs attention.
pub const WARNING: &str = "M8 1.5 15.2 14H.8ZM7.2 6v4h1.6V6Zm0 5.2v1.6h1.6v-1.6Z";
/// Hold the view.
pub const PAUSE: &str = "M4 3h3v10H4ZM9 3h3v10H9Z";
/// Let the view go.
pub const RESUME: &str = "M4 2.5 13 8 4 13.5Z";
/// Ask for fresh numbers.
pub const REFRESH: &str =
    "M8 2.5a5.5 5.5 0 0 1 4.3 2.1V2.5h1.5v4.8H9V5.8h2.3A4 4 0 1 0 12 8.6h1.5A5.5 5.5 0 1 1 8 2.5Z";
/// A row that stands on top.
pub const PIN: &str = "M5.2 1.5h5.6v1.4l-1 .8v3.5l2.4 2v1.4H8.8V15H7.2v-4.4H3.8V9.2l2.4-2V3.7l-1-.8Z";
/// The lowest first.
pub const SORTED_UP: &str = "M8 4.5 12 10.5H4Z";
/// The highest first.
pub const SORTED_DOWN: &str = "M8 11.5 4 5.5H12Z";
/// A field that looks for something.
pub const SEARCH: &str = "M6.8 2a4.8 4.8 0 0 1 3.8 7.7l3.4 3.3-1.1 1.1-3.4-3.4A4.8 4.8 0 1 1 6.8 2Zm0 1.6a3.2 3.2 0 1 0 0 6.4 3.2 3.2 0 0 0 0-6.4Z";
/// What the keys do.
pub const HELP: &str = "M8 1.5a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13ZM8 3a5 5 0 1 0 0 10A5 5 0 0 0 8 3ZM7.2 10.4h1.6V12H7.2Z\
                        M8 4.4c1.5 0 2.6.9 2.6 2.2 0 1-.6 1.5-1.2 2-.5.3-.6.5-.6 1H7.2c0-1.2.5-1.7 1.1-2.1.5-.4.7-.5.7-.9 0-.4-.4-.7-1-.7s-1 .3-1.1.9L5.4 6.5c.1-1.3 1.2-2.1 2.6-2.1Z";
/// Away with it.
pub const CLOSE: &str = "m4 2.9 4 4 4-4L13.1 4l-4 4 4 4-1.1 1.1-4-4-4 4L2.9 12l4-4-4-4Z";
/// The theme follows the system.
pub const THEME_SYSTEM: &str = "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2Zm0 1.5a4.5 4.5 0 0 1 0 9Z";
/// The light theme.
pub const THEME_LIGHT: &str = "M8 5a3 3 0 1 1 0 6 3 3 0 0 1 0-6ZM7.3 1h1.4v2.4H7.3Zm0 11.6h1.4V15H7.3ZM1 7.3h2.4v1.4H1Z\
                               m11.6 0H15v1.4h-2.4ZM2.6 3.6l1-1 1.7 1.7-1 1Zm8.1 8.1 1-1 1.7 1.7-1 1ZM3.6 13.4l-1-1 1.7-1.7 1 1Z\
                               m8.1-8.1-1-1 1.7-1.7 1 1Z";
/// The dark theme.
pub const THEME_DARK: &str = "M6.2 2.2a6 6 0 1 0 7.6 7.9A5.2 5.2 0 0 1 6.2 2.2Z";

/// An icon. It is decoration: whoever uses it says in words what it means.
#[component]
pub fn Icon(
    /// The path to draw.
    #[prop(into)]
    path: Signal<&'static str>,
) -> impl IntoView {
    view! {
        <svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">
            <path fill="currentColor" fill-rule="evenodd" d=move || path.get()></path>
        </svg>
    }
}
