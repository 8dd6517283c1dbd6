//! There are no circular dependencies among our modules, so each can be read and changed without those that use it.
//!
//! Siblings are compared, the files and folders of one folder; a module and what is inside it count as one. The test reads the
//! paths in the code (not in test code); a re-export counts for the module that it comes from. It does not see what only a
//! compiler does: methods on values whose type is never named, and the output of macros.

mod source;

use source::{leaves_of, without_tests, words};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// A module, or what is in it, by the names from the crate's root on; the root's is empty.
type Name = Vec<String>;
/// What each module depends on, with an example of a path.
type Needs = BTreeMap<Name, BTreeMap<Name, String>>;

#[test]
fn modules_have_no_circular_dependencies_and_their_documented_list_is_true() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let architecture = fs::read_to_string(workspace.join("docs/architecture.md")).unwrap();
    for package in ["app", "bench", "server", "simulator"] {
        let mut sources = BTreeMap::new();
        collect(&workspace.join(package).join("src"), &[], &mut sources);
        assert!(sources.len() > 10, "{package}: {} modules", sources.len());
        let needs = needs(&sources);
        assert_eq!(circle(needs.clone()), None, "{package}");
        if ["app", "server"].contains(&package) {
            let map = map(&sources, &needs);
            assert!(architecture.contains(&map), "docs/architecture.md, of {package}: expected\n\n{map}");
        }
    }
}

#[test]
fn a_circle_is_named_and_test_code_and_submodules_make_none() {
    let circle_of = |files: &[(&str, &str)]| {
        let name = |path: &str| path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect::<Name>();
        circle(needs(&files.iter().map(|(path, text)| (name(path), (*text).to_owned())).collect()))
    };
    let found = circle_of(&[
        ("", "pub mod a; pub mod b; pub mod c;"),
        ("a", "use crate::{b::{self, Thing as Other}};\nfn f() { b::g('\"', \"crate::c\", r#\"crate::c\"#); }"),
        ("b", "pub use inner::Thing; mod inner;"),
        ("b/inner", "use super::super::c; fn f<'a>() -> c::X {}"),
        ("c", "fn f() { crate::a::f() }"),
    ]);
    assert_eq!(found.as_deref(), Some("a uses b (a → b), b uses c (b::inner → c), c uses a (c → a)"));
    let found = circle_of(&[
        ("a", "pub use crate::b::Thing; use crate::d;"),
        ("b", "#[cfg(test)] mod tests { use crate::a; }\n#[cfg(test)]\nuse crate::{a::X, c}; #[cfg(test)]\nmod e;"),
        ("b/e", "use crate::a;"),
        ("c", "use crate::a::Thing; // crate::d"),
        ("d", "mod e; use super::c::{Thing};"),
        ("d/e", "use super::X; /* crate::a */"),
    ]);
    assert_eq!(found, None);
}

/// Every file below a folder, by its module.
fn collect(folder: &Path, of: &[String], sources: &mut BTreeMap<Name, String>) {
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let inside = [of, &[stem.to_owned()]].concat();
        if path.is_dir() {
            collect(&path, &inside, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") && stem != "main" {
            let name = if ["lib", "mod"].contains(&stem) { of.to_vec() } else { inside };
            sources.insert(name, fs::read_to_string(&path).unwrap());
        }
    }
}

/// The dependencies among siblings, each with an example.
fn needs(sources: &BTreeMap<Name, String>) -> Needs {
    let (mut paths, mut imports, mut of_tests) = (Vec::new(), BTreeMap::new(), Vec::new());
    for (module, source) in sources {
        let code =
            without_tests(&words(source), |file| of_tests.push([module.as_slice(), &[file.to_owned()]].concat()));
        let mut place = 0;
        while place < code.len() {
            let (is_import, mut leaves) = (place > 0 && code[place - 1] == "use", Vec::new());
            place = leaves_of(&code, place, &[], &mut leaves).max(place + 1);
            for (path, known_as) in leaves {
                let Some(path) = absolute(module, &path, sources) else { continue };
                if is_import {
                    imports.insert([module.as_slice(), &[known_as]].concat(), path.clone());
                }
                paths.push((module, path));
            }
        }
    }
    let mut needs = Needs::new();
    for (module, path) in paths.iter().filter(|(module, _)| !of_tests.iter().any(|test| module.starts_with(test))) {
        let target = owner(path, sources, &imports);
        let shared = module.iter().zip(&target).take_while(|(one, other)| one == other).count();
        if shared < module.len() && shared < target.len() {
            let example = format!("{} → {}", module.join("::"), target.join("::"));
            let needed = needs.entry(module[..=shared].to_vec()).or_default();
            needed.entry(target[..=shared].to_vec()).or_insert(example);
        }
    }
    needs
}

/// A circle, if there is one, in words.
fn circle(mut needs: Needs) -> Option<String> {
    // A module without dependencies, or whose dependencies are all such, is in no circle.
    loop {
        let needing: BTreeSet<Name> = needs.keys().cloned().collect();
        needs.values_mut().for_each(|needed| needed.retain(|name, _| needing.contains(name)));
        needs.retain(|_, needed| !needed.is_empty());
        if needs.len() == needing.len() {
            break;
        }
    }
    // Every module that is left depends on another one that is left: following them leads into a circle.
    let mut way = vec![needs.keys().next()?];
    loop {
        let (next, _) = needs[way[way.len() - 1]].first_key_value()?;
        if let Some(start) = way.iter().position(|name| *name == next) {
            let step = |name: &&Name| {
                let (next, example) = needs[*name].first_key_value()?;
                Some(format!("{} uses {} ({example})", name.join("::"), next.join("::")))
            };
            return Some(way[start..].iter().filter_map(step).collect::<Vec<_>>().join(", "));
        }
        way.push(next);
    }
}

/// The top-level modules, a line each with its dependencies; a module stands above those that it depends on.
fn map(sources: &BTreeMap<Name, String>, needs: &Needs) -> String {
    fn floor(module: &Name, needs: &Needs) -> usize {
        needs.get(module).into_iter().flat_map(BTreeMap::keys).map(|needed| 1 + floor(needed, needs)).max().unwrap_or(0)
    }
    let roots: BTreeSet<Name> = sources.keys().filter_map(|name| Some(vec![name.first()?.clone()])).collect();
    let mut lines: Vec<_> = roots.iter().map(|module| (Reverse(floor(module, needs)), module)).collect();
    lines.sort();
    let line = |(_, module): &(Reverse<usize>, &Name)| {
        let needed = needs.get(*module).into_iter().flat_map(BTreeMap::keys).map(|name| name[0].as_str());
        format!("{:<11}{}", module[0], needed.collect::<Vec<_>>().join(", ")).trim_end().to_owned() + "\n"
    };
    lines.iter().map(line).collect()
}

/// The module that a path leads to, through re-exports.
fn owner(path: &Name, sources: &BTreeMap<Name, String>, imports: &BTreeMap<Name, Name>) -> Name {
    let mut path = path.clone();
    // Bounded, as names that re-export each other would lead nowhere.
    for _ in 0..8 {
        let re_exported = (1..=path.len()).find_map(|length| Some((length, imports.get(&path[..length])?)));
        let Some((length, origin)) = re_exported else { break };
        path = [origin, &path[length..]].concat();
    }
    (0..=path.len())
        .rev()
        .map(|length| &path[..length])
        .find(|name| sources.contains_key(*name))
        .unwrap_or(&[])
        .to_vec()
}

/// A path from the crate's root on; `None` where it leads out of the crate, or to something local.
fn absolute(module: &Name, path: &Name, sources: &BTreeMap<Name, String>) -> Option<Name> {
    let ups = path.iter().take_while(|part| *part == "super").count();
    let here = [module, path.as_slice()].concat();
    match path[0].as_str() {
        "crate" => Some(path[1..].to_vec()),
        "self" => Some([module, &path[1..]].concat()),
        "super" => Some([&module[..module.len().checked_sub(ups)?], &path[ups..]].concat()),
        _ => sources.contains_key(&here[..=module.len()]).then_some(here),
    }
}
