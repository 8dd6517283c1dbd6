//! The browser's files inside the program. Releases have them (`scripts/build.sh` makes the list that `main.rs` includes), so that
//! the program needs no folder beside it; development builds read files from `LEPTOS_SITE_ROOT`.

/// All files of one build.
#[derive(Debug)]
pub struct Site {
    /// A hash over all of them, in every address that a page names: the same address always means the same bytes.
    pub version: &'static str,
    /// In no order.
    pub files: &'static [File],
}

/// One of them, compressed when the program was built.
#[derive(Debug)]
pub struct File {
    /// Its address below the site's root, as in `/pkg/tickstock.js`.
    pub path: &'static str,
    /// As in `Content-Type`.
    pub media_type: &'static str,
    /// For who takes nothing compressed.
    pub plain: &'static [u8],
    /// Compressed with Brotli, where that is shorter.
    pub brotli: Option<&'static [u8]>,
    /// Compressed with gzip, where that is shorter.
    pub gzip: Option<&'static [u8]>,
}

/// Where the files are whose address carries the version: `/assets/VERSION/pkg/tickstock.js`.
const VERSIONED: &str = "assets";

impl Site {
    /// The folder, below the site's root, of the files that this version names: what `LEPTOS_SITE_PKG_DIR` is in a development build.
    #[must_use]
    pub fn package_folder(&self) -> String {
        [VERSIONED, "/", self.version, "/pkg"].concat()
    }

    /// The file at this address of a request, and whether the address carries the version. Files of other versions are not there:
    /// a page must not run what it was not built with.
    #[must_use]
    pub fn find(&self, address: &str) -> Option<(&'static File, bool)> {
        let (path, is_versioned) = match address.strip_prefix('/')?.strip_prefix(VERSIONED) {
            Some(rest) => (rest.strip_prefix('/')?.strip_prefix(self.version)?, true),
            None => (address, false),
        };
        Some((self.files.iter().find(|file| file.path == path)?, is_versioned))
    }
}
