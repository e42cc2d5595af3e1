//! The directory: this organisation's users, groups and memberships, with the attributes of
//! Microsoft Graph's user and group.

use std::fmt;

use crate::{Attributes, GroupId, ObjectId, Timestamp, UserId, Value};

/// User or group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A person or another account.
    User,
    /// A group.
    Group,
}

impl Kind {
    /// Both, users first.
    pub const ALL: [Self; 2] = [Self::User, Self::Group];

    /// `User` or `Group`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Group => "Group",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A user. What the directory itself acts on has a field; everything else is in `attributes`.
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    /// Graph's `id`.
    pub id: UserId,
    /// The sign-in name, unique in the tenant ignoring case.
    pub user_principal_name: String,
    /// May the user sign in?
    pub account_enabled: bool,
    /// Graph's `manager`.
    pub manager: Option<UserId>,
    /// All other Graph properties.
    pub attributes: Attributes,
    /// When the user was soft-deleted.
    pub deleted: Option<Timestamp>,
}

impl User {
    /// The name to show a person: display name, else sign-in name.
    pub fn name(&self) -> &str {
        self.attributes
            .text("displayName")
            .unwrap_or(&self.user_principal_name)
    }
}

/// A group. What the directory itself acts on has a field; everything else is in `attributes`.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Graph's `id`.
    pub id: GroupId,
    /// Graph's `displayName`.
    pub display_name: String,
    /// Only security-enabled groups grant access (OM-3).
    pub security_enabled: bool,
    /// All other Graph properties.
    pub attributes: Attributes,
    /// When the group was soft-deleted.
    pub deleted: Option<Timestamp>,
}

/// One member of one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Membership {
    /// The group.
    pub group: GroupId,
    /// The member.
    pub member: ObjectId,
    /// What the member is.
    pub kind: Kind,
}

/// How an attribute's text in a file becomes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One text.
    Text,
    /// `true` or `false`.
    Bool,
    /// An RFC 3339 instant, kept as text.
    Time,
    /// Several texts.
    Texts,
    /// The id of another object.
    Reference,
}

/// The Graph properties of a user that the directory keeps, besides `id`.
pub const USER_ATTRIBUTES: &[(&str, Shape)] = &[
    ("userPrincipalName", Shape::Text),
    ("accountEnabled", Shape::Bool),
    ("manager", Shape::Reference),
    ("displayName", Shape::Text),
    ("givenName", Shape::Text),
    ("surname", Shape::Text),
    ("mail", Shape::Text),
    ("mailNickname", Shape::Text),
    ("otherMails", Shape::Texts),
    ("proxyAddresses", Shape::Texts),
    ("imAddresses", Shape::Texts),
    ("jobTitle", Shape::Text),
    ("department", Shape::Text),
    ("companyName", Shape::Text),
    ("employeeId", Shape::Text),
    ("employeeType", Shape::Text),
    ("employeeHireDate", Shape::Time),
    ("employeeLeaveDateTime", Shape::Time),
    ("costCenter", Shape::Text),
    ("division", Shape::Text),
    ("userType", Shape::Text),
    ("mobilePhone", Shape::Text),
    ("businessPhones", Shape::Texts),
    ("faxNumber", Shape::Text),
    ("officeLocation", Shape::Text),
    ("streetAddress", Shape::Text),
    ("city", Shape::Text),
    ("state", Shape::Text),
    ("postalCode", Shape::Text),
    ("country", Shape::Text),
    ("usageLocation", Shape::Text),
    ("preferredLanguage", Shape::Text),
    ("preferredDataLocation", Shape::Text),
    ("ageGroup", Shape::Text),
    ("onPremisesSamAccountName", Shape::Text),
    ("onPremisesUserPrincipalName", Shape::Text),
    ("onPremisesDistinguishedName", Shape::Text),
    ("onPremisesDomainName", Shape::Text),
    ("onPremisesImmutableId", Shape::Text),
    ("onPremisesSecurityIdentifier", Shape::Text),
    ("extensionAttribute1", Shape::Text),
    ("extensionAttribute2", Shape::Text),
    ("extensionAttribute3", Shape::Text),
    ("extensionAttribute4", Shape::Text),
    ("extensionAttribute5", Shape::Text),
    ("extensionAttribute6", Shape::Text),
    ("extensionAttribute7", Shape::Text),
    ("extensionAttribute8", Shape::Text),
    ("extensionAttribute9", Shape::Text),
    ("extensionAttribute10", Shape::Text),
    ("extensionAttribute11", Shape::Text),
    ("extensionAttribute12", Shape::Text),
    ("extensionAttribute13", Shape::Text),
    ("extensionAttribute14", Shape::Text),
    ("extensionAttribute15", Shape::Text),
    ("createdDateTime", Shape::Time),
];

/// The Graph properties of a group that the directory keeps, besides `id`.
pub const GROUP_ATTRIBUTES: &[(&str, Shape)] = &[
    ("displayName", Shape::Text),
    ("securityEnabled", Shape::Bool),
    ("description", Shape::Text),
    ("mailNickname", Shape::Text),
    ("mail", Shape::Text),
    ("mailEnabled", Shape::Bool),
    ("groupTypes", Shape::Texts),
    ("membershipRule", Shape::Text),
    ("visibility", Shape::Text),
    ("classification", Shape::Text),
    ("createdDateTime", Shape::Time),
];

/// The shape of a property of users or groups; directory extensions (`extension_…`) are texts.
pub fn shape_of(kind: Kind, name: &str) -> Option<Shape> {
    let known = match kind {
        Kind::User => USER_ATTRIBUTES,
        Kind::Group => GROUP_ATTRIBUTES,
    };
    known
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, shape)| *shape)
        .or_else(|| name.starts_with("extension_").then_some(Shape::Text))
}

/// What a caller wants changed in a user: only what is named changes; null clears.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes(pub Vec<(String, Value)>);
