//! The document around the pages: head, policy, and the start of the browser's side. Server only.
//!
//! The hydration head is our own: `HydrationScripts` of leptos 0.8.23 writes the nonce as the value of `crossorigin`
//! (leptos #4843), which leaks it and lets a browser refuse the preload.

mod policy;

use crate::{address, components::theme_toggle::STORAGE_KEY, pages};
use leptos::{nonce::use_nonce, prelude::*};
use leptos_meta::MetaTags;

/// Applies the kept theme before the first paint.
const THEME_SCRIPT: &str =
    "try{const t=localStorage.getItem('KEY');if(t)document.documentElement.dataset.theme=t}catch{}";

/// A page may come from another version of the server than its files are asked from, during an update: `missing` loads the page
/// anew where the server answers, once in ten minutes (`store::storage::reloaded_of_late` counts the same), and else does
/// `otherwise`. A missing style sheet is such a case on every page.
const RELOAD_SCRIPT: &str = "const missing=(url,otherwise)=>fetch(url,{method:'HEAD',cache:'no-store'}).then(answer=>{\
    const tab=sessionStorage,name='tickstock-reloaded',now=Date.now();\
    if(answer.status>499||now-(tab[name]||0)<6e5)throw 0;\
    tab[name]=now;location.reload()}).catch(otherwise);\
    addEventListener('error',e=>{if(e.target.rel)missing(e.target.href,()=>{})},true)";

/// Rows of a table are copied as a line each, their cells set apart by tabs: their texts stand in elements that know nothing of
/// each other. What is within one cell, and what reaches beyond a table, is copied as the browser does it.
const COPY_SCRIPT: &str = "addEventListener('copy',e=>{\
    const s=getSelection();if(!s.rangeCount)return;\
    let n=s.getRangeAt(0).commonAncestorContainer;n=n.closest?n:n.parentElement;\
    const t=n.closest('.table-scroller');if(!t||n.closest('[role$=cell],[role$=header]'))return;\
    const cells='.symbol,.tape-what,.cell-price,.cell-change,.cell-rate,.cell-time,.cell-age,.cell-size,\
[role=columnheader]:not(:has(.visually-hidden))';\
    e.clipboardData.setData('text/plain',[...t.querySelectorAll('.table-row:not([hidden])')].filter(r=>s.containsNode(r,true))\
        .map(r=>[...r.querySelectorAll(cells)].filter(c=>c.offsetParent).map(c=>c.innerText.trim()).join('\\t')).join('\\n'));\
    e.preventDefault()})";

/// Sound and notification of new alerts are loaded when somebody asks for them in the help, and from then on.
const NOTIFY_SCRIPT: &str = "{const load=()=>import('FILE');\
    addEventListener('change',e=>{if(e.target.id=='notify')load().then(m=>m.set(e.target))});\
    addEventListener('load',()=>{try{if(localStorage['tickstock-notify'])load().then(m=>m.restore())}catch{}})}";

/// The document that `leptos_axum` renders for every page. Sends the Content-Security-Policy that fits it.
pub fn shell(options: LeptosOptions) -> impl IntoView {
    policy::send(&options);
    let style = ["/", &options.site_pkg_dir, "/", &options.output_name, ".css"].concat();
    let beside = |name: &str| ["/", options.site_pkg_dir.trim_end_matches("pkg"), name].concat();
    let path = address::path();
    // Charts and ledger have sheets of their own: the dashboard does not wait for what it does not show.
    let sheets: &[&str] = match &*path {
        address::METRICS => &["history.css", "charts.css"],
        address::REPLAY => &["history.css", "charts.css", "replay.css"],
        _ => &[],
    };
    let theme_script = THEME_SCRIPT.replace("KEY", STORAGE_KEY);
    view! {
        <!DOCTYPE html>
        <html lang="en">
            <head>
                <meta charset="utf-8"/>
                <meta name="viewport" content="width=device-width, initial-scale=1"/>
                <meta name="color-scheme" content="light dark"/>
                <meta name="robots" content="noindex"/>
                <link rel="icon" type="image/svg+xml" href=beside("favicon.svg")/>
                <script nonce=use_nonce()>{RELOAD_SCRIPT}</script>
                // The id lets cargo-leptos swap the sheet while developing.
                <link id="leptos" rel="stylesheet" href=style/>
                {sheets.iter().map(|sheet| view! { <link rel="stylesheet" href=beside(sheet)/> }).collect_view()}
                <script nonce=use_nonce()>{theme_script}</script>
                <AutoReload options=options.clone()/>
                {pages::is_live(&path).then(|| hydration_head(&options, beside("noscript.css"), &beside("notify.js")))}
                <MetaTags/>
            </head>
            <body>{pages::page_at(&path)}</body>
        </html>
    }
}

/// What the server rendered passes for the present for so long.
const HYDRATED_WITHIN_MS: u32 = 4_000;

/// Preloads, and a script that starts the browser's side or says on the body that it did not start.
fn hydration_head(options: &LeptosOptions, without_scripts: String, notify: &str) -> impl IntoView + use<> {
    let notify = NOTIFY_SCRIPT.replace("FILE", notify);
    let base = ["/", &options.site_pkg_dir, "/", &options.output_name].concat();
    let (script, wasm) = (base.clone() + ".js", base + ".wasm");
    // The module script runs after the document is parsed, so there is a body to mark. The page marks it as hydrated when
    // all of it is; until then, and after a panic, which ends all callbacks, it must not look live. A page that is late
    // may still come; one that failed stays failed, whatever of its code still runs.
    let start = format!(
        "const d=document.body.dataset,failed=()=>{{d.hydration='failed'}};\
         setTimeout(()=>'hydrated'in d||(d.hydration??='late'),{HYDRATED_WITHIN_MS});\
         addEventListener('error',e=>{{if(e.error instanceof WebAssembly.RuntimeError)failed()}});\
         addEventListener('unhandledrejection',e=>{{if(!('hydrated'in d)||e.reason instanceof WebAssembly.RuntimeError)failed()}});\
         import('{script}').then(m=>m.default({{module_or_path:'{wasm}'}}).then(()=>m.hydrate()))\
         .catch(e=>{{console.error(e);e instanceof WebAssembly.RuntimeError?failed():missing('{script}',failed)}})"
    );
    view! {
        <link rel="modulepreload" href=script/>
        <link rel="preload" href=wasm r#as="fetch" r#type="application/wasm" crossorigin=""/>
        <script type="module" nonce=use_nonce()>{start}</script>
        <script nonce=use_nonce()>{COPY_SCRIPT}</script>
        <script nonce=use_nonce()>{notify}</script>
        // Hidden while the script can still start the page; without scripts the note shows.
        <noscript><link rel="stylesheet" href=without_scripts/></noscript>
    }
}
