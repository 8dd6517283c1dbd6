//! The browser's files, compressed in advance: those in the program, or in development what a build wrote to the site's folder.
//!
//! Not `leptos_axum::file_and_error_handler`: in version 0.8.10 a file that is asked for while a page is made on the same
//! thread takes the headers that were meant for the page, its policy among them.

use crate::site::{File, Site};
use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri,
        header::{
            ACCEPT_ENCODING, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG,
            IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, VARY,
        },
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use leptos::config::LeptosOptions;

/// An address with a version means the same bytes for ever. Without one it means the newest, which a browser has to ask for.
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const ASK_EVERY_TIME: HeaderValue = HeaderValue::from_static("no-cache");

/// Where files come from.
pub(super) type Source = (Option<&'static Site>, LeptosOptions);

/// Middleware: answers with the file of this name. Where there is none, or the name could be none, the request goes on.
pub(super) async fn files(State((site, options)): State<Source>, request: Request, next: Next) -> Response {
    let found = match (request.method(), site) {
        (&Method::GET | &Method::HEAD, Some(site)) => from_program(site, request.uri().path(), request.headers()),
        (&Method::GET | &Method::HEAD, None) => from_folder(&options, request.uri(), request.headers()).await,
        _ => None,
    };
    match found {
        Some(file) => file,
        None => next.run(request).await,
    }
}

fn from_program(site: &Site, path: &str, headers: &HeaderMap) -> Option<Response> {
    let (file, is_versioned) = site.find(path)?;
    // Weak, as it is the same for all encodings.
    let tag = HeaderValue::try_from(["W/\"", site.version, "\""].concat()).ok()?;
    let caching = if is_versioned { FOR_EVER } else { ASK_EVERY_TIME };
    let common = [(ETAG, tag.clone()), (CACHE_CONTROL, caching), (VARY, HeaderValue::from_name(ACCEPT_ENCODING))];
    let tags = values(headers, &IF_NONE_MATCH).flat_map(|value| value.split(','));
    if tags.map(str::trim).any(|known| known.as_bytes() == tag.as_bytes()) {
        return Some((StatusCode::NOT_MODIFIED, common).into_response());
    }
    let (encoding, bytes) = encoded(file, headers);
    let mut response =
        (common, [(CONTENT_TYPE, file.media_type)], Body::from(Bytes::from_static(bytes))).into_response();
    if let Some(encoding) = encoding {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    Some(response)
}

/// The shortest form that the client takes.
fn encoded(file: &File, headers: &HeaderMap) -> (Option<&'static str>, &'static [u8]) {
    let takes = |name: &str| {
        values(headers, &ACCEPT_ENCODING).flat_map(|value| value.split(',')).any(|accepted| {
            let (coding, weight) = accepted.split_once(';').unwrap_or((accepted, ""));
            let weight = weight.trim().strip_prefix("q=").and_then(|weight| weight.parse().ok());
            coding.trim().eq_ignore_ascii_case(name) && weight != Some(0.0)
        })
    };
    let forms = [("br", file.brotli), ("gzip", file.gzip)];
    let packed = forms.into_iter().find_map(|(name, form)| form.filter(|_| takes(name)).map(|form| (Some(name), form)));
    packed.unwrap_or((None, file.plain))
}

fn values<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> + use<'a> {
    headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok())
}

async fn from_folder(options: &LeptosOptions, uri: &Uri, headers: &HeaderMap) -> Option<Response> {
    let mut wanted = Request::get(uri).body(Body::empty()).ok()?;
    if let Some(encodings) = headers.get(ACCEPT_ENCODING) {
        wanted.headers_mut().insert(ACCEPT_ENCODING, encodings.clone());
    }
    let mut folder = leptos_axum::site_pkg_dir_service(options).append_index_html_on_directories(false);
    let mut file = folder.try_call(wanted).await.ok().filter(|file| file.status() == StatusCode::OK)?.into_response();
    file.headers_mut().insert(VARY, HeaderValue::from_name(ACCEPT_ENCODING));
    // Files are answered whole.
    file.headers_mut().remove(ACCEPT_RANGES);
    // Known is what is of this very time: an older build that was put back is news, too.
    let known = headers.get(IF_MODIFIED_SINCE);
    if known.is_some() && known == file.headers().get(LAST_MODIFIED) {
        *file.status_mut() = StatusCode::NOT_MODIFIED;
        *file.body_mut() = Body::empty();
        file.headers_mut().remove(CONTENT_LENGTH);
    }
    Some(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SITE: Site = Site {
        version: "5eed",
        files: &[
            File {
                path: "/pkg/tickstock.js",
                media_type: "text/javascript",
                plain: b"plain and long",
                brotli: Some(b"br"),
                gzip: Some(b"gzip"),
            },
            File { path: "/favicon.svg", media_type: "image/svg+xml", plain: b"<svg/>", brotli: None, gzip: None },
        ],
    };

    fn get<const N: usize>(path: &str, sent: [(HeaderName, &'static str); N]) -> Option<Response> {
        let headers = sent.map(|(name, value)| (name, HeaderValue::from_static(value)));
        from_program(&SITE, path, &headers.into_iter().collect())
    }

    fn header(response: &Response, name: HeaderName) -> &str {
        response.headers().get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[test]
    fn an_address_with_the_version_is_kept_for_ever_and_another_version_is_not_there() {
        let versioned = get("/assets/5eed/pkg/tickstock.js", []).unwrap();
        assert_eq!(header(&versioned, CACHE_CONTROL), "public, max-age=31536000, immutable");
        assert_eq!(header(&versioned, CONTENT_TYPE), "text/javascript");
        let newest = get("/favicon.svg", []).unwrap();
        assert_eq!((header(&newest, CACHE_CONTROL), header(&newest, ETAG)), ("no-cache", "W/\"5eed\""));
        for absent in [
            "/assets/0ld0/pkg/tickstock.js",
            "/assets/5eed",
            "/assets/5eed/",
            "/assets",
            "/",
            "",
            "/pkg",
            "/pkg/../favicon.svg",
        ] {
            assert!(get(absent, []).is_none(), "{absent}");
        }
    }

    #[test]
    fn what_is_known_is_not_sent_again() {
        for known in ["W/\"5eed\"", "W/\"other\", W/\"5eed\""] {
            let same = get("/favicon.svg", [(IF_NONE_MATCH, known)]).unwrap();
            assert_eq!(
                (same.status(), header(&same, CACHE_CONTROL)),
                (StatusCode::NOT_MODIFIED, "no-cache"),
                "{known}"
            );
        }
        assert_eq!(get("/favicon.svg", [(IF_NONE_MATCH, "W/\"5eee\"")]).unwrap().status(), StatusCode::OK);
    }

    #[test]
    fn the_shortest_form_that_the_client_takes_is_sent() {
        let sent = |encodings| {
            let file = get("/pkg/tickstock.js", [(ACCEPT_ENCODING, encodings)]).unwrap();
            assert_eq!(header(&file, VARY), "accept-encoding");
            header(&file, CONTENT_ENCODING).to_owned()
        };
        let encodings = ["gzip, deflate, br, zstd", "gzip;q=1.0, BR;q=0.5", "gzip, br;q=0", "identity", "br;q=0.0", ""];
        assert_eq!(encodings.map(sent), ["br", "br", "gzip", "", "", ""]);
        let picture = get("/favicon.svg", [(ACCEPT_ENCODING, "br")]).unwrap();
        assert_eq!(header(&picture, CONTENT_ENCODING), "", "no shorter form");
    }
}
