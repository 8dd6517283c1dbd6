//! The title of the browser's tab.

/// Makes the tab say `text`, as it changes. On the server it is written into the head when all else is rendered and disposed
/// of: `text` may hold counted references alone.
pub fn keep_tab_title(text: impl Fn() -> String + Send + Sync + 'static) {
    let whole = move || text() + " · TickStock Monitor";
    #[cfg(feature = "ssr")]
    {
        leptos_meta::provide_meta_context();
        let _view = leptos_meta::Title(leptos_meta::TitleProps { formatter: None, text: Some(whole.into()) });
    }
    #[cfg(not(feature = "ssr"))]
    leptos::prelude::Effect::new(move |_| leptos::prelude::document().set_title(&whole()));
}
