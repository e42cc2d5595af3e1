//! What a request needs to know of its integration: whose resources, which types, what is accepted.

use std::sync::Arc;

use muster_model::TenantId;
use muster_model::integration::{ResourceKind, Settings};
use muster_scim::schema::{AttributeType, Uniqueness};
use muster_scim::{Attribute, Map, ResourceType, Schemas};
use muster_store::resources::{Place, exact_name_key, name_key};
use serde_json::Value;

use crate::definitions::Definitions;

/// An integration, as its requests see it.
#[derive(Debug)]
pub struct Profile {
    pub(crate) place: Place,
    pub(crate) settings: Settings,
    own: Option<Arc<Definitions>>,
}

impl Profile {
    pub(crate) const fn new(
        place: Place,
        settings: Settings,
        own: Option<Arc<Definitions>>,
    ) -> Self {
        Self {
            place,
            settings,
            own,
        }
    }

    /// Its own definitions.
    pub(crate) fn own(&self) -> Option<Arc<Definitions>> {
        self.own.clone()
    }

    /// Were its own definitions read from this text?
    pub(crate) fn defined_by(&self, text: &str) -> bool {
        self.own.as_ref().is_some_and(|own| own.text == text)
    }

    /// That of an integration without anything of its own, which holds nothing.
    pub fn standard() -> Self {
        let place = Place {
            tenant: TenantId::FIRST,
            integration: -1,
        };
        Self::new(place, Settings::default(), None)
    }

    /// The schemas and resource types.
    pub fn schemas(&self) -> &Schemas {
        self.own
            .as_ref()
            .map_or_else(|| Schemas::standard(), |own| &own.schemas)
    }

    /// The types of resources, users and groups first.
    pub fn kinds(&self) -> &[ResourceKind] {
        self.own
            .as_ref()
            .map_or(&ResourceKind::STANDARD, |own| &own.kinds)
    }

    /// The resource type of one of [`Profile::kinds`].
    pub fn of(&self, kind: ResourceKind) -> &ResourceType {
        let at = self.kinds().iter().position(|one| *one == kind);
        // Kinds are only ever taken from this list.
        &self.schemas().resource_types()[at.unwrap_or_default()]
    }

    /// The name of a type; of one that is gone, its number.
    pub(crate) fn name(&self, kind: ResourceKind) -> String {
        if self.kinds().contains(&kind) {
            return self.of(kind).name.clone();
        }
        format!("Type{}", kind.number())
    }

    /// The type whose resources stand below this part of a path, such as `Users`.
    pub fn kind_at(&self, endpoint: &str) -> Option<ResourceKind> {
        let at = self
            .schemas()
            .resource_types()
            .iter()
            .position(|one| one.endpoint.trim_start_matches('/') == endpoint)?;
        self.kinds().get(at).copied()
    }

    /// The attribute that must be unique among the resources of a type: `userName`, `displayName`.
    pub(crate) fn name_of(&self, kind: ResourceKind) -> Option<&Attribute> {
        unique_name(self.of(kind))
    }

    /// The form in which the unique name of a document is compared; without one, `id` stands for it.
    pub(crate) fn name_key(&self, kind: ResourceKind, document: &Map, id: &str) -> String {
        let name = self.unique_name(kind, document);
        let named = self.name_of(kind).zip(name);
        named.map_or_else(|| id.to_owned(), |(one, name)| key_of(one, name))
    }

    /// The unique name of a document.
    pub(crate) fn unique_name<'d>(&self, kind: ResourceKind, document: &'d Map) -> Option<&'d str> {
        document.get(&self.name_of(kind)?.name)?.as_str()
    }

    /// May requests come from this address?
    pub(crate) fn allows(&self, address: std::net::IpAddr) -> bool {
        let allowed = &self.settings.allowed_networks;
        let mut networks = allowed.iter().filter_map(|one| one.parse().ok());
        allowed.is_empty() || networks.any(|one: ipnet::IpNet| one.contains(&address))
    }

    /// Bytes of a body at most, as far as the integration limits them.
    pub const fn max_body(&self) -> Option<u64> {
        self.settings.max_body
    }

    /// Does the integration refuse what no schema declares?
    pub(crate) const fn is_strict(&self) -> bool {
        self.settings.strict
    }
}

/// The attribute of a type that the server keeps unique: the first text that says so.
pub(crate) fn unique_name(kind: &ResourceType) -> Option<&Attribute> {
    kind.schema.attributes.iter().find(|one| {
        one.uniqueness != Uniqueness::None && one.kind == AttributeType::String && !one.multi_valued
    })
}

/// The form in which a unique name is compared.
pub(crate) fn key_of(attribute: &Attribute, name: &str) -> String {
    if attribute.case_exact {
        exact_name_key(name)
    } else {
        name_key(name)
    }
}

/// What is kept of attributes that no schema declares.
pub(crate) fn extras_text(unknown: Map) -> Option<String> {
    (!unknown.is_empty()).then(|| Value::Object(unknown).to_string())
}
