//! System, light, dark, in turn. Kept by the browser; the document's head applies it before the first paint.

use super::icon::{Icon, THEME_DARK, THEME_LIGHT, THEME_SYSTEM};
use crate::store::storage;
use leptos::prelude::*;

/// Where the browser keeps the choice; the head's script reads the same.
pub const STORAGE_KEY: &str = "tickstock-theme";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Theme {
    #[default]
    System,
    Light,
    Dark,
}

impl Theme {
    fn next(self) -> Self {
        match self {
            Self::System => Self::Light,
            Self::Light => Self::Dark,
            Self::Dark => Self::System,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::System => THEME_SYSTEM,
            Self::Light => THEME_LIGHT,
            Self::Dark => THEME_DARK,
        }
    }
}

/// The button that goes to the next theme.
#[component]
pub fn ThemeToggle() -> impl IntoView {
    let theme = RwSignal::new(Theme::System);
    // Both sides first render "system"; what the browser kept is known only there.
    Effect::new(move |_| theme.set(kept()));
    let label = move || ["Theme: ", theme.get().name(), ". Switch to ", theme.get().next().name()].concat();
    view! {
        <button
            type="button"
            class="button button-icon"
            data-testid="theme"
            title=label
            aria-label=label
            on:click=move |_| {
                theme.update(|theme| *theme = theme.next());
                keep(theme.get_untracked());
            }
        >
            <Icon path=Signal::derive(move || theme.get().path())/>
        </button>
    }
}

fn kept() -> Theme {
    let name = storage::kept(STORAGE_KEY);
    [Theme::Light, Theme::Dark].into_iter().find(|theme| name.as_deref() == Some(theme.name())).unwrap_or_default()
}

fn keep(theme: Theme) {
    let chosen = (theme != Theme::System).then(|| theme.name());
    if let Some(root) = document().document_element() {
        let _ = match chosen {
            Some(name) => root.set_attribute("data-theme", name),
            None => root.remove_attribute("data-theme"),
        };
    }
    storage::keep(STORAGE_KEY, chosen);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dark_is_the_same_whether_chosen_or_inherited() {
        let tokens = include_str!("../../../style/tokens.css");
        let block = |selector: &str| {
            let (_, rest) = tokens.split_once(selector).expect("the selector");
            let (block, _) = rest.split_once('}').expect("the end of the block");
            block.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>()
        };
        assert_eq!(block(":root:not([data-theme=\"light\"]) {"), block(":root[data-theme=\"dark\"] {"));
    }

    /// Of WCAG 2.2.
    fn luminance(colour: &str) -> f64 {
        let part = |place: usize| {
            let digits = colour.get(place..place + 2).expect("two digits");
            let part = f64::from(u8::from_str_radix(digits, 16).expect("a number")) / 255.0;
            if part <= 0.040_45 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5)
    }

    #[test]
    fn bands_and_marks_stand_out_three_to_one_in_both_themes() {
        let tokens = include_str!("../../../style/tokens.css");
        for theme in [":root {", ":root[data-theme=\"dark\"] {"] {
            let (_, rest) = tokens.split_once(theme).expect("the theme");
            let colour = |name: &str| {
                let (_, value) = rest.split_once(&["--", name, ": "].concat()).expect("the colour");
                luminance(value.get(..7).expect("a colour"))
            };
            let identities = (1..=8).map(|n| format!("identity-{n}"));
            let states =
                ["ok", "busy", "warn", "bad", "bad-strong", "off", "info", "focus", "text-3"].map(str::to_owned);
            for name in identities.chain(states) {
                for ground in ["ground", "surface", "surface-2", "hover"] {
                    let (a, b) = (colour(&name), colour(ground));
                    let contrast = (a.max(b) + 0.05) / (a.min(b) + 0.05);
                    assert!(contrast >= 3.0, "{theme} {name} on {ground}: {contrast:.2}");
                }
            }
        }
    }

    #[test]
    fn three_clicks_lead_back() {
        assert_eq!(Theme::System.next().next().next(), Theme::System);
    }
}
