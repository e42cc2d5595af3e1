//! What the resources consist of: the properties that may be named, and those that come unasked.

/// What a property holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Guid,
    Bool,
    Int,
    Time,
    Texts,
    Object,
    Objects,
}

/// The properties of a type of resource.
#[derive(Debug)]
pub(crate) struct Shape {
    /// `microsoft.graph.user`, without its prefix.
    pub(crate) type_name: &'static str,
    /// What may be named; what is within another property stands as `outer/inner`.
    pub(crate) properties: &'static [(&'static str, Kind)],
    /// What comes unless something else is asked for; everything, when empty.
    pub(crate) usual: &'static [&'static str],
}

impl Shape {
    /// The property as it is spelt, and what it holds.
    pub(crate) fn find(&self, path: &[&str]) -> Option<(Vec<String>, Kind)> {
        let wanted = path.join("/");
        let (name, kind) = self.property(&wanted)?;
        Some((name.split('/').map(str::to_owned).collect(), kind))
    }

    /// The same of an element of a collection.
    pub(crate) fn element(&self, collection: &str, path: &[&str]) -> Option<(Vec<String>, Kind)> {
        let (_, kind) = self.property(collection)?;
        if path.is_empty() {
            return (kind == Kind::Texts).then_some((Vec::new(), Kind::Text));
        }
        let wanted = format!("{collection}/{}", path.join("/"));
        let (name, kind) = self.property(&wanted)?;
        let within = name.split('/').skip(1).map(str::to_owned).collect();
        Some((within, kind))
    }

    /// A property that stands on its own, as it is spelt.
    pub(crate) fn top(&self, name: &str) -> Option<String> {
        let (name, _) = self.property(name)?;
        (!name.contains('/')).then_some(name)
    }

    fn property(&self, wanted: &str) -> Option<(String, Kind)> {
        let known = self.properties.iter();
        let known = known
            .copied()
            .find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        if let Some((name, kind)) = known {
            return Some((name.to_owned(), kind));
        }
        let is_extension = wanted.to_ascii_lowercase().starts_with("extension_");
        (is_extension && matches!(self.type_name, "user" | "group") && wanted.len() <= 256)
            .then(|| (wanted.to_owned(), Kind::Text))
    }
}

/// Users (6.1, 3.6).
pub(crate) const USER: Shape = Shape {
    type_name: "user",
    usual: &[
        "businessPhones",
        "displayName",
        "givenName",
        "jobTitle",
        "mail",
        "mobilePhone",
        "officeLocation",
        "preferredLanguage",
        "surname",
        "userPrincipalName",
    ],
    properties: &[
        ("id", Kind::Guid),
        ("userPrincipalName", Kind::Text),
        ("accountEnabled", Kind::Bool),
        ("displayName", Kind::Text),
        ("givenName", Kind::Text),
        ("surname", Kind::Text),
        ("mail", Kind::Text),
        ("mailNickname", Kind::Text),
        ("otherMails", Kind::Texts),
        ("proxyAddresses", Kind::Texts),
        ("imAddresses", Kind::Texts),
        ("jobTitle", Kind::Text),
        ("department", Kind::Text),
        ("companyName", Kind::Text),
        ("employeeId", Kind::Text),
        ("employeeType", Kind::Text),
        ("employeeHireDate", Kind::Time),
        ("employeeLeaveDateTime", Kind::Time),
        ("employeeOrgData", Kind::Object),
        ("employeeOrgData/costCenter", Kind::Text),
        ("employeeOrgData/division", Kind::Text),
        ("userType", Kind::Text),
        ("mobilePhone", Kind::Text),
        ("businessPhones", Kind::Texts),
        ("faxNumber", Kind::Text),
        ("officeLocation", Kind::Text),
        ("streetAddress", Kind::Text),
        ("city", Kind::Text),
        ("state", Kind::Text),
        ("postalCode", Kind::Text),
        ("country", Kind::Text),
        ("usageLocation", Kind::Text),
        ("preferredLanguage", Kind::Text),
        ("preferredDataLocation", Kind::Text),
        ("ageGroup", Kind::Text),
        ("passwordPolicies", Kind::Text),
        ("onPremisesSyncEnabled", Kind::Bool),
        ("onPremisesSamAccountName", Kind::Text),
        ("onPremisesUserPrincipalName", Kind::Text),
        ("onPremisesDistinguishedName", Kind::Text),
        ("onPremisesDomainName", Kind::Text),
        ("onPremisesImmutableId", Kind::Text),
        ("onPremisesSecurityIdentifier", Kind::Text),
        ("onPremisesExtensionAttributes", Kind::Object),
        (
            "onPremisesExtensionAttributes/extensionAttribute1",
            Kind::Text,
        ),
        (
            "onPremisesExtensionAttributes/extensionAttribute2",
            Kind::Text,
        ),
        (
            "onPremisesExtensionAttributes/extensionAttribute3",
            Kind::Text,
        ),
        (
            "onPremisesExtensionAttributes/extensionAttribute4",
            Kind::Text,
        ),
        (
            "onPremisesExtensionAttributes/extensionAttribute5",
            Kind::Text,
        ),
        (
            "onPremisesExtensionAttributes/extensionAttribute6",
            Kind::Text,
        ),
        (
            "onPremisesExtensionAttributes/extensionAttribute7",
            Kind::Text,
        ),
        (
            "onPremisesExtensionAttributes/extensionAttribute8",
            Kind::Text,
        ),
        (
            "onPremisesExtensionAttributes/extensionAttribute9",
            Kind::Text,
        ),
        (
            "onPremisesExtensionAttributes/extensionAttribute10",
            Kind::Text,
        ),
        (
            "onPremisesExtensionAttributes/extensionAttribute11",
            Kind::Text,
        ),
        (
            "onPremisesExtensionAttributes/extensionAttribute12",
            Kind::Text,
        ),
        (
            "onPremisesExtensionAttributes/extensionAttribute13",
            Kind::Text,
        ),
        (
            "onPremisesExtensionAttributes/extensionAttribute14",
            Kind::Text,
        ),
        (
            "onPremisesExtensionAttributes/extensionAttribute15",
            Kind::Text,
        ),
        ("identities", Kind::Objects),
        ("identities/signInType", Kind::Text),
        ("identities/issuer", Kind::Text),
        ("identities/issuerAssignedId", Kind::Text),
        ("createdDateTime", Kind::Time),
        ("deletedDateTime", Kind::Time),
    ],
};

/// Groups (6.2, 3.6).
pub(crate) const GROUP: Shape = Shape {
    type_name: "group",
    usual: &[
        "deletedDateTime",
        "classification",
        "createdDateTime",
        "description",
        "displayName",
        "expirationDateTime",
        "groupTypes",
        "isAssignableToRole",
        "mail",
        "mailEnabled",
        "mailNickname",
        "membershipRule",
        "membershipRuleProcessingState",
        "onPremisesSyncEnabled",
        "preferredDataLocation",
        "preferredLanguage",
        "proxyAddresses",
        "renewedDateTime",
        "securityEnabled",
        "securityIdentifier",
        "theme",
        "uniqueName",
        "visibility",
    ],
    properties: &[
        ("id", Kind::Guid),
        ("displayName", Kind::Text),
        ("description", Kind::Text),
        ("securityEnabled", Kind::Bool),
        ("mailEnabled", Kind::Bool),
        ("mailNickname", Kind::Text),
        ("mail", Kind::Text),
        ("groupTypes", Kind::Texts),
        ("membershipRule", Kind::Text),
        ("membershipRuleProcessingState", Kind::Text),
        ("visibility", Kind::Text),
        ("classification", Kind::Text),
        ("isAssignableToRole", Kind::Bool),
        ("onPremisesSyncEnabled", Kind::Bool),
        ("preferredDataLocation", Kind::Text),
        ("preferredLanguage", Kind::Text),
        ("proxyAddresses", Kind::Texts),
        ("securityIdentifier", Kind::Text),
        ("theme", Kind::Text),
        ("uniqueName", Kind::Text),
        ("createdDateTime", Kind::Time),
        ("deletedDateTime", Kind::Time),
        ("expirationDateTime", Kind::Time),
        ("renewedDateTime", Kind::Time),
    ],
};

/// Application templates (7.1).
pub(crate) const TEMPLATE: Shape = Shape {
    type_name: "applicationTemplate",
    usual: &[],
    properties: &[
        ("id", Kind::Guid),
        ("displayName", Kind::Text),
        ("publisher", Kind::Text),
        ("description", Kind::Text),
        ("homePageUrl", Kind::Text),
        ("logoUrl", Kind::Text),
        ("categories", Kind::Texts),
        ("supportedProvisioningTypes", Kind::Texts),
        ("supportedSingleSignOnModes", Kind::Texts),
    ],
};

/// Applications (7.2).
pub(crate) const APPLICATION: Shape = Shape {
    type_name: "application",
    usual: &[],
    properties: &[
        ("id", Kind::Guid),
        ("appId", Kind::Guid),
        ("displayName", Kind::Text),
        ("applicationTemplateId", Kind::Guid),
        ("createdDateTime", Kind::Time),
        ("deletedDateTime", Kind::Time),
        ("tags", Kind::Texts),
        ("identifierUris", Kind::Texts),
        ("signInAudience", Kind::Text),
        ("notes", Kind::Text),
        ("description", Kind::Text),
        ("appRoles", Kind::Objects),
        ("web", Kind::Object),
    ],
};

/// Service principals (7.2).
pub(crate) const SERVICE_PRINCIPAL: Shape = Shape {
    type_name: "servicePrincipal",
    usual: &[],
    properties: &[
        ("id", Kind::Guid),
        ("appId", Kind::Guid),
        ("displayName", Kind::Text),
        ("appDisplayName", Kind::Text),
        ("applicationTemplateId", Kind::Guid),
        ("appOwnerOrganizationId", Kind::Guid),
        ("accountEnabled", Kind::Bool),
        ("appRoleAssignmentRequired", Kind::Bool),
        ("servicePrincipalType", Kind::Text),
        ("servicePrincipalNames", Kind::Texts),
        ("createdDateTime", Kind::Time),
        ("deletedDateTime", Kind::Time),
        ("tags", Kind::Texts),
        ("notes", Kind::Text),
        ("description", Kind::Text),
        ("homepage", Kind::Text),
        ("loginUrl", Kind::Text),
        ("notificationEmailAddresses", Kind::Texts),
        ("preferredSingleSignOnMode", Kind::Text),
        ("appRoles", Kind::Objects),
    ],
};

/// Assignments (chapter 8).
pub(crate) const ASSIGNMENT: Shape = Shape {
    type_name: "appRoleAssignment",
    usual: &[],
    properties: &[
        ("id", Kind::Text),
        ("principalId", Kind::Guid),
        ("principalType", Kind::Text),
        ("principalDisplayName", Kind::Text),
        ("resourceId", Kind::Guid),
        ("resourceDisplayName", Kind::Text),
        ("appRoleId", Kind::Guid),
        ("createdDateTime", Kind::Time),
        ("deletedDateTime", Kind::Time),
    ],
};

/// Events of the provisioning log (chapter 10).
pub(crate) const PROVISIONING: Shape = Shape {
    type_name: "provisioningObjectSummary",
    usual: &[],
    properties: &[
        ("id", Kind::Guid),
        ("activityDateTime", Kind::Time),
        ("tenantId", Kind::Text),
        ("jobId", Kind::Text),
        ("cycleId", Kind::Guid),
        ("changeId", Kind::Guid),
        ("provisioningAction", Kind::Text),
        ("action", Kind::Text),
        ("durationInMilliseconds", Kind::Int),
        ("provisioningStatusInfo", Kind::Object),
        ("provisioningStatusInfo/status", Kind::Text),
        ("provisioningStatusInfo/errorInformation", Kind::Object),
        (
            "provisioningStatusInfo/errorInformation/errorCode",
            Kind::Text,
        ),
        ("statusInfo", Kind::Object),
        ("statusInfo/status", Kind::Text),
        ("sourceIdentity", Kind::Object),
        ("sourceIdentity/id", Kind::Text),
        ("sourceIdentity/displayName", Kind::Text),
        ("sourceIdentity/identityType", Kind::Text),
        ("targetIdentity", Kind::Object),
        ("targetIdentity/id", Kind::Text),
        ("targetIdentity/displayName", Kind::Text),
        ("targetIdentity/identityType", Kind::Text),
        ("sourceSystem", Kind::Object),
        ("sourceSystem/id", Kind::Text),
        ("sourceSystem/displayName", Kind::Text),
        ("targetSystem", Kind::Object),
        ("targetSystem/id", Kind::Text),
        ("targetSystem/displayName", Kind::Text),
        ("servicePrincipal", Kind::Object),
        ("servicePrincipal/id", Kind::Guid),
        ("servicePrincipal/displayName", Kind::Text),
        ("initiatedBy", Kind::Object),
        ("initiatedBy/id", Kind::Text),
        ("initiatedBy/displayName", Kind::Text),
        ("initiatedBy/initiatorType", Kind::Text),
        ("modifiedProperties", Kind::Objects),
        ("provisioningSteps", Kind::Objects),
    ],
};

/// Entries of the audit log (10.3).
pub(crate) const AUDIT: Shape = Shape {
    type_name: "directoryAudit",
    usual: &[],
    properties: &[
        ("id", Kind::Guid),
        ("activityDateTime", Kind::Time),
        ("activityDisplayName", Kind::Text),
        ("category", Kind::Text),
        ("result", Kind::Text),
        ("resultReason", Kind::Text),
        ("correlationId", Kind::Guid),
        ("loggedByService", Kind::Text),
        ("operationType", Kind::Text),
        ("initiatedBy", Kind::Object),
        ("initiatedBy/user", Kind::Object),
        ("initiatedBy/app", Kind::Object),
        ("initiatedBy/app/displayName", Kind::Text),
        ("targetResources", Kind::Objects),
        ("targetResources/id", Kind::Text),
        ("targetResources/displayName", Kind::Text),
        ("targetResources/type", Kind::Text),
        ("additionalDetails", Kind::Objects),
    ],
};
