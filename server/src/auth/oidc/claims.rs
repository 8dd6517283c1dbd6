//! What a provider says of somebody: their groups, wherever it puts them, and the role that these have here.

use crate::model::{Role, UnknownRole};
use openidconnect::AdditionalClaims;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::str::FromStr;

/// Every claim that OpenID Connect does not know.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(transparent)]
pub(super) struct MoreClaims(Map<String, Value>);

impl AdditionalClaims for MoreClaims {}

impl MoreClaims {
    /// The groups at a path: a list of texts, or one text. `None` where there is no such claim, or it is something else.
    pub(super) fn groups(&self, path: &str) -> Option<Vec<String>> {
        match find(&self.0, path)? {
            Value::String(group) => Some(vec![group.clone()]),
            Value::Array(groups) => {
                let text = |group: &Value| group.as_str().map(str::to_owned);
                groups.iter().map(text).collect()
            }
            _ => None,
        }
    }

    /// What the provider calls its session.
    pub(super) fn sid(&self) -> Option<String> {
        self.0.get("sid")?.as_str().map(str::to_owned)
    }
}

/// A name may have dots of its own, as `https://example.com/groups`: the longest name that is there counts.
fn find<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    claims.get(path).or_else(|| {
        path.rmatch_indices('.').find_map(|(dot, _)| {
            let inner = claims.get(&path[..dot])?.as_object()?;
            find(inner, &path[dot + 1..])
        })
    })
}

/// Which role a group has here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoleMap(Vec<(String, Role)>);

impl RoleMap {
    /// The highest role of these groups.
    #[must_use]
    pub fn role_of(&self, groups: &[String]) -> Option<Role> {
        self.0.iter().filter(|(group, _)| groups.contains(group)).map(|(_, role)| *role).max()
    }
}

impl FromStr for RoleMap {
    type Err = UnknownRole;

    /// `group=role`, separated by commas. Groups are compared as they are written.
    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        let one = |pair: &str| {
            let (group, role) = pair.rsplit_once('=').ok_or_else(|| UnknownRole::of(pair))?;
            let group = group.trim();
            if group.is_empty() {
                return Err(UnknownRole::of(pair));
            }
            Ok((group.to_owned(), role.trim().to_ascii_lowercase().parse()?))
        };
        text.split(',').map(str::trim).filter(|pair| !pair.is_empty()).map(one).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn claims(value: Value) -> MoreClaims {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn groups_are_found_wherever_a_provider_puts_them() {
        let claims = claims(json!({
            "groups": ["ops", "desk"], "team": "ops", "none": [], "number": 7, "mixed": ["ops", 7], "null": null,
            "realm_access": {"roles": ["a"], "x.y": "deep"}, "https://example.com/groups": ["auth0"],
            "resource_access": {"the.monitor": {"roles": ["k"]}},
        }));
        for (path, expected) in [
            ("groups", Some(vec!["ops", "desk"])),
            ("team", Some(vec!["ops"])),
            ("none", Some(vec![])),
            ("realm_access.roles", Some(vec!["a"])),
            ("realm_access.x.y", Some(vec!["deep"])),
            ("https://example.com/groups", Some(vec!["auth0"])),
            ("resource_access.the.monitor.roles", Some(vec!["k"])),
            ("number", None),
            ("mixed", None),
            ("null", None),
            ("missing", None),
            ("realm_access", None),
            ("groups.roles", None),
            ("", None),
        ] {
            let expected = expected.map(|groups| groups.into_iter().map(str::to_owned).collect::<Vec<_>>());
            assert_eq!(claims.groups(path), expected, "{path}");
        }
    }

    #[test]
    fn the_highest_role_wins_and_an_unknown_group_has_none() {
        let map: RoleMap = " ops=admin, desk = Moderator,cn=chiefs=super,all=user ".parse().unwrap();
        let role = |groups: &[&str]| map.role_of(&groups.iter().map(|group| (*group).to_owned()).collect::<Vec<_>>());
        assert_eq!(role(&["all", "ops", "desk"]), Some(Role::Admin));
        assert_eq!(role(&["cn=chiefs", "all"]), Some(Role::Super));
        assert_eq!(role(&["desk"]), Some(Role::Moderator));
        for groups in [&[][..], &["Ops"], &["admin"], &["ops "]] {
            assert_eq!(role(groups), None, "{groups:?}");
        }
        for bad in ["ops", "ops=root", "=admin", "ops=admin,desk"] {
            assert!(bad.parse::<RoleMap>().is_err(), "{bad}");
        }
    }
}
