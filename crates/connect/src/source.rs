//! The built-in directory as a source.

use std::collections::HashMap;

use async_trait::async_trait;
use muster_engine::port::{
    Changed, Grant, Life, Record, SingleReference, Source, SourceChange, SourceError,
};
use muster_model::application::AppRole;
use muster_model::directory::{Group, Kind, User};
use muster_model::link::SourceAnchor;
use muster_model::{ApplicationId, Attributes, GroupId, Position, RoleId, TenantId, UserId, Value};
use muster_store::feed::{self, Change};
use muster_store::{Store, StoreError, Tx, applications, assignments, groups, memberships, users};

/// Names of the mapping screen for properties that Microsoft Graph calls otherwise.
const USER_ALIASES: &[(&str, &str)] = &[
    ("mobile", "mobilePhone"),
    ("facsimileTelephoneNumber", "faxNumber"),
    ("physicalDeliveryOfficeName", "officeLocation"),
    ("employeeOrgData.costCenter", "costCenter"),
    ("employeeOrgData.division", "division"),
];

/// The built-in directory, as one application sees it.
#[derive(Debug)]
pub struct DirectorySource {
    store: Store,
    tenant: TenantId,
    application: ApplicationId,
}

impl DirectorySource {
    /// The directory of a tenant for one of its applications.
    pub const fn new(store: Store, tenant: TenantId, application: ApplicationId) -> Self {
        Self {
            store,
            tenant,
            application,
        }
    }

    async fn user_records(
        &self,
        tx: &mut Tx<'_>,
        users: Vec<User>,
    ) -> Result<Vec<Record>, StoreError> {
        let ids: Vec<SourceAnchor> = users.iter().map(|user| user.id.into()).collect();
        let mut granted = self.grants(tx, &ids).await?;
        let roles = self.role_names(tx, &granted).await?;
        Ok(users
            .into_iter()
            .map(|user| {
                let grants = granted.remove(&user.id.into()).unwrap_or_default();
                user_record(user, grants, &roles)
            })
            .collect())
    }

    async fn group_records(
        &self,
        tx: &mut Tx<'_>,
        groups: Vec<Group>,
    ) -> Result<Vec<Record>, StoreError> {
        let ids: Vec<SourceAnchor> = groups.iter().map(|group| group.id.into()).collect();
        let mut granted = self.grants(tx, &ids).await?;
        Ok(groups
            .into_iter()
            .map(|group| {
                // A group is in scope by its own assignment, never by that of another group, and
                // only while it is security-enabled (OM-3, OM-6).
                let mut grants = granted.remove(&group.id.into()).unwrap_or_default();
                grants.retain(|grant| grant.via.is_none() && group.security_enabled);
                group_record(group, grants)
            })
            .collect())
    }

    async fn grants(
        &self,
        tx: &mut Tx<'_>,
        ids: &[SourceAnchor],
    ) -> Result<HashMap<SourceAnchor, Vec<Grant>>, StoreError> {
        let mut granted: HashMap<SourceAnchor, Vec<Grant>> = HashMap::new();
        for grant in assignments::grants(tx, self.tenant, self.application, ids).await? {
            let via = grant.via.map(Into::into);
            granted.entry(grant.object).or_default().push(Grant {
                role: grant.role,
                via,
            });
        }
        Ok(granted)
    }

    async fn role_names(
        &self,
        tx: &mut Tx<'_>,
        granted: &HashMap<SourceAnchor, Vec<Grant>>,
    ) -> Result<HashMap<RoleId, AppRole>, StoreError> {
        if granted.is_empty() {
            return Ok(HashMap::new());
        }
        let roles = applications::roles(tx, self.tenant, self.application).await?;
        Ok(roles.into_iter().map(|role| (role.id, role)).collect())
    }
}

fn user_record(user: User, grants: Vec<Grant>, roles: &HashMap<RoleId, AppRole>) -> Record {
    let name = user.name().to_owned();
    let anchor: SourceAnchor = user.id.into();
    let mut attributes = user.attributes;
    for (alias, property) in USER_ALIASES {
        if let Some(value) = attributes.get(property).cloned() {
            attributes.set(*alias, value);
        }
    }
    if let Some(Value::List(phones)) = attributes.get("businessPhones")
        && let Some(first) = phones.first().cloned()
    {
        attributes.set("telephoneNumber", first);
    }
    // OM-16: a guest's name is given back its home form.
    let home = home_name(&user.user_principal_name);
    attributes.set(
        "originalUserPrincipalName",
        user.user_principal_name.as_str(),
    );
    attributes.set("userPrincipalName", home);
    attributes.set("objectId", anchor.to_string());
    attributes.set("accountEnabled", user.account_enabled);
    if let Some(manager) = user.manager {
        attributes.set("manager", manager.to_string());
    }
    if !grants.is_empty() {
        attributes.set("appRoleAssignments", assigned_roles(&grants, roles));
    }
    Record {
        kind: Kind::User,
        anchor,
        name,
        life: match (user.deleted, user.account_enabled) {
            (Some(_), _) => Life::SoftDeleted,
            (None, false) => Life::Disabled,
            (None, true) => Life::Active,
        },
        attributes,
        references: vec![("manager", user.manager.map(Into::into))],
        grants,
    }
}

/// Each distinct role once, in the order of assignment.
fn assigned_roles(grants: &[Grant], roles: &HashMap<RoleId, AppRole>) -> Value {
    let mut seen: Vec<RoleId> = Vec::new();
    let mut items = Vec::new();
    for grant in grants {
        let Some(role) = roles
            .get(&grant.role)
            .filter(|role| !seen.contains(&role.id))
        else {
            continue;
        };
        seen.push(role.id);
        let mut item = Attributes::new();
        item.set("id", role.id.to_string());
        item.set("value", role.value.as_str());
        item.set("displayName", role.display_name.as_str());
        items.push(Value::Object(item));
    }
    Value::List(items)
}

/// `ana_example.org#EXT#@tenant.example` is `ana@example.org` at home (OM-16).
fn home_name(user_principal_name: &str) -> String {
    let Some((outside, _)) = user_principal_name.split_once("#EXT#@") else {
        return user_principal_name.to_owned();
    };
    outside.rsplit_once('_').map_or_else(
        || outside.to_owned(),
        |(name, domain)| format!("{name}@{domain}"),
    )
}

fn group_record(group: Group, grants: Vec<Grant>) -> Record {
    let anchor: SourceAnchor = group.id.into();
    let mut attributes = group.attributes;
    attributes.set("displayName", group.display_name.as_str());
    attributes.set("securityEnabled", group.security_enabled);
    attributes.set("objectId", anchor.to_string());
    Record {
        kind: Kind::Group,
        anchor,
        name: group.display_name,
        life: if group.deleted.is_some() {
            Life::SoftDeleted
        } else {
            Life::Active
        },
        attributes,
        references: Vec::new(),
        grants,
    }
}

fn unreadable(error: StoreError) -> SourceError {
    SourceError(error.to_string())
}

#[async_trait]
impl Source for DirectorySource {
    async fn end(&self) -> Result<Position, SourceError> {
        let tenant = self.tenant;
        self.store
            .read(|tx| Box::pin(async move { feed::end(tx, tenant).await }))
            .await
            .map_err(unreadable)
    }

    async fn changes(&self, after: Position, limit: u32) -> Result<Vec<SourceChange>, SourceError> {
        let tenant = self.tenant;
        let mine = feed::application_object(self.application);
        let entries = self
            .store
            .read(|tx| Box::pin(async move { feed::read(tx, tenant, after, limit).await }))
            .await
            .map_err(unreadable)?;
        Ok(entries
            .into_iter()
            .map(|entry| SourceChange {
                position: entry.position,
                what: match entry.change {
                    Change::User(id) | Change::UserPurged(id) => Changed::Object(Kind::User, id),
                    Change::Group(id) | Change::GroupPurged(id) => Changed::Object(Kind::Group, id),
                    Change::Membership { group, member } => Changed::Membership { group, member },
                    Change::Assignment {
                        application,
                        principal,
                    } if application == mine => Changed::Assignment(principal),
                    Change::Assignment { .. } => Changed::Elsewhere,
                },
            })
            .collect())
    }

    async fn page(
        &self,
        kind: Kind,
        after: Option<SourceAnchor>,
        limit: u32,
    ) -> Result<Vec<Record>, SourceError> {
        self.store
            .read(|tx| {
                Box::pin(async move {
                    match kind {
                        Kind::User => {
                            let after = after.map(SourceAnchor::user);
                            let page = users::page(tx, self.tenant, after, limit).await?;
                            self.user_records(tx, page).await
                        }
                        Kind::Group => {
                            let after = after.map(SourceAnchor::group);
                            let page = groups::page(tx, self.tenant, after, limit).await?;
                            self.group_records(tx, page).await
                        }
                    }
                })
            })
            .await
            .map_err(unreadable)
    }

    async fn read(&self, kind: Kind, anchors: &[SourceAnchor]) -> Result<Vec<Record>, SourceError> {
        self.store
            .read(|tx| {
                Box::pin(async move {
                    match kind {
                        Kind::User => {
                            let ids: Vec<UserId> = anchors.iter().map(|id| id.user()).collect();
                            let found = users::by_ids(tx, self.tenant, &ids).await?;
                            self.user_records(tx, found).await
                        }
                        Kind::Group => {
                            let ids: Vec<GroupId> = anchors.iter().map(|id| id.group()).collect();
                            let found = groups::by_ids(tx, self.tenant, &ids).await?;
                            self.group_records(tx, found).await
                        }
                    }
                })
            })
            .await
            .map_err(unreadable)
    }

    async fn references(
        &self,
        kind: Kind,
        anchors: &[SourceAnchor],
    ) -> Result<Vec<SingleReference>, SourceError> {
        let tenant = self.tenant;
        if kind == Kind::Group {
            return Ok(Vec::new());
        }
        let managers = self
            .store
            .read(|tx| Box::pin(async move { users::managers(tx, tenant, anchors).await }))
            .await
            .map_err(unreadable)?;
        Ok(managers
            .into_iter()
            .map(|(user, manager)| (user, "manager", manager))
            .collect())
    }

    async fn referrers(
        &self,
        anchors: &[SourceAnchor],
    ) -> Result<Vec<(SourceAnchor, &'static str, SourceAnchor)>, SourceError> {
        let tenant = self.tenant;
        self.store
            .read(|tx| {
                Box::pin(async move {
                    let reports = users::reports(tx, tenant, anchors).await?;
                    let groups = memberships::groups_of(tx, tenant, anchors).await?;
                    let named = |name| move |(owner, referred)| (owner, name, referred);
                    Ok::<_, StoreError>(
                        reports
                            .into_iter()
                            .map(named("manager"))
                            .chain(groups.into_iter().map(named("members")))
                            .collect(),
                    )
                })
            })
            .await
            .map_err(unreadable)
    }

    async fn names(
        &self,
        kind: Kind,
        anchors: &[SourceAnchor],
    ) -> Result<Vec<(SourceAnchor, String)>, SourceError> {
        let tenant = self.tenant;
        self.store
            .read(|tx| {
                Box::pin(async move {
                    match kind {
                        Kind::User => users::names(tx, tenant, anchors).await,
                        Kind::Group => groups::names(tx, tenant, anchors).await,
                    }
                })
            })
            .await
            .map_err(unreadable)
    }

    async fn members(
        &self,
        group: SourceAnchor,
        after: Option<SourceAnchor>,
        limit: u32,
    ) -> Result<Vec<SourceAnchor>, SourceError> {
        let tenant = self.tenant;
        let members = self
            .store
            .read(|tx| {
                Box::pin(async move {
                    memberships::members(tx, tenant, group.group(), after, limit).await
                })
            })
            .await
            .map_err(unreadable)?;
        Ok(members.into_iter().map(|(member, _)| member).collect())
    }

    async fn nested(&self, group: SourceAnchor) -> Result<Vec<SourceAnchor>, SourceError> {
        let tenant = self.tenant;
        self.store
            .read(|tx| {
                Box::pin(async move { memberships::nested(tx, tenant, group.group()).await })
            })
            .await
            .map_err(unreadable)
    }

    async fn is_member(
        &self,
        group: SourceAnchor,
        member: SourceAnchor,
    ) -> Result<bool, SourceError> {
        let tenant = self.tenant;
        self.store
            .read(|tx| {
                Box::pin(async move { memberships::holds(tx, tenant, group.group(), member).await })
            })
            .await
            .map_err(unreadable)
    }

    async fn count(&self, kind: Kind) -> Result<u64, SourceError> {
        let tenant = self.tenant;
        self.store
            .read(|tx| {
                Box::pin(async move {
                    match kind {
                        Kind::User => users::count(tx, tenant).await,
                        Kind::Group => groups::count(tx, tenant).await,
                    }
                })
            })
            .await
            .map_err(unreadable)
    }

    async fn has_roles(&self) -> Result<bool, SourceError> {
        let (tenant, application) = (self.tenant, self.application);
        self.store
            .read(|tx| Box::pin(async move { applications::roles(tx, tenant, application).await }))
            .await
            .map(|roles| !roles.is_empty())
            .map_err(unreadable)
    }

    fn is_unique(&self, kind: Kind, attribute: &str) -> bool {
        kind == Kind::User && matches!(attribute, "userPrincipalName" | "objectId")
    }
}

#[cfg(test)]
mod tests {
    use super::home_name;

    #[test]
    fn a_guest_is_known_by_the_name_it_has_at_home() {
        // OM-16
        let guest = "ana.m_partner.example#EXT#@tenant.example";
        assert_eq!(home_name(guest), "ana.m@partner.example");
        assert_eq!(home_name("Ana@tenant.example"), "Ana@tenant.example");
    }
}
