//! Roles, in order.

use std::{fmt, str::FromStr};

/// What an account may do; each role may do what the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// May sign in; may see the dashboard where [`RoleRules`] say so.
    User,
    /// The same.
    Moderator,
    /// Sees and operates the dashboard.
    Admin,
    /// Sees and operates the dashboard.
    Super,
}

/// A word that names no role.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown role `{0}`; it is one of user, moderator, admin, super")]
pub struct UnknownRole(String);

impl UnknownRole {
    /// That this is none.
    pub(crate) fn of(word: &str) -> Self {
        Self(word.to_owned())
    }
}

impl Role {
    /// Every role, the least first.
    pub const ALL: [Self; 4] = [Self::User, Self::Moderator, Self::Admin, Self::Super];

    /// The role's name in the database and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Moderator => "moderator",
            Self::Admin => "admin",
            Self::Super => "super",
        }
    }

    /// Does the role see and operate the dashboard?
    #[must_use]
    pub fn is_admin(self) -> bool {
        self >= Self::Admin
    }
}

/// What the roles may do here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoleRules {
    /// `VIEWER_ROLE`: this role and those above it see everything. Without it only administrators do.
    pub viewer: Option<Role>,
    /// `SECOND_FACTOR_ROLES`: accounts with one of these roles get nowhere without a second factor.
    pub second_factor: RoleSet,
}

/// Some of the roles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoleSet(u8);

impl RoleSet {
    /// Is it one of them?
    #[must_use]
    pub fn contains(self, role: Role) -> bool {
        self.0 & (1 << role as u8) != 0
    }
}

impl FromStr for RoleSet {
    type Err = UnknownRole;

    /// Names of roles, separated by commas.
    fn from_str(names: &str) -> Result<Self, UnknownRole> {
        let mut roles = names.split(',').map(|name| name.trim().to_ascii_lowercase().parse::<Role>());
        roles.try_fold(Self::default(), |set, role| Ok(Self(set.0 | (1 << role? as u8))))
    }
}

impl RoleRules {
    /// May the role see the dashboard?
    #[must_use]
    pub fn sees(self, role: Role) -> bool {
        role.is_admin() || self.viewer.is_some_and(|least| role >= least)
    }

    /// Does the role get nowhere without a second factor?
    #[must_use]
    pub fn asks_second_factor(self, role: Role) -> bool {
        self.second_factor.contains(role)
    }

    /// May the role change something?
    #[must_use]
    pub fn acts(self, role: Role) -> bool {
        role.is_admin()
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(name: &str) -> Result<Self, UnknownRole> {
        Self::ALL.into_iter().find(|role| role.as_str() == name).ok_or_else(|| UnknownRole(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_ordered_and_only_the_last_two_are_admins() {
        assert!(Role::ALL.is_sorted());
        assert!(Role::User < Role::Moderator && Role::Moderator < Role::Admin && Role::Admin < Role::Super);
        assert_eq!(Role::ALL.map(Role::is_admin), [false, false, true, true]);
    }

    #[test]
    fn a_viewer_role_sees_and_does_not_act() {
        let seeing = |viewer| Role::ALL.map(|role| RoleRules { viewer, ..RoleRules::default() }.sees(role));
        assert_eq!(seeing(None), [false, false, true, true]);
        assert_eq!(seeing(Some(Role::Moderator)), [false, true, true, true]);
        assert_eq!(seeing(Some(Role::User)), [true; 4]);
        let rules = RoleRules { viewer: Some(Role::User), ..RoleRules::default() };
        assert_eq!(Role::ALL.map(|role| rules.acts(role)), [false, false, true, true]);
    }

    #[test]
    fn roles_are_listed_with_commas() {
        let set: RoleSet = "admin, SUPER".parse().unwrap();
        assert_eq!(Role::ALL.map(|role| set.contains(role)), [false, false, true, true]);
        assert_eq!(Role::ALL.map(|role| RoleSet::default().contains(role)), [false; 4]);
        for bad in ["", "admin,", "admin super", "root"] {
            assert!(bad.parse::<RoleSet>().is_err(), "{bad}");
        }
    }

    #[test]
    fn names_are_read_back_and_an_unknown_one_lists_them() {
        for role in Role::ALL {
            assert_eq!(role.to_string().parse(), Ok(role));
        }
        let error = "root".parse::<Role>().unwrap_err().to_string();
        assert_eq!(error, "unknown role `root`; it is one of user, moderator, admin, super");
    }
}
