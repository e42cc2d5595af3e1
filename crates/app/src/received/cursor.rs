//! Cursors of RFC 9865: a place in a list that goes on from there, whatever came and went meanwhile.
//!
//! Nothing is kept for a cursor, so none ever expires. It holds the place and a digest of what it
//! belongs to: the integration and the query. It gives access to nothing that the caller's token does
//! not give.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use muster_model::integration::ResourceKind;
use muster_model::{IntegrationId, ResourceId};
use muster_scim::{ListQuery, ScimError};
use sha2::{Digest, Sha256};

/// Bytes of the digest: against mistakes, not against forgers, who would gain nothing.
const DIGEST: usize = 8;

/// Where a page begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Position {
    /// Behind a resource, in the order of types and ids; or at the very beginning.
    After(Option<(ResourceKind, ResourceId)>),
    /// Behind so many resources, in a sorted list.
    Offset(u64),
}

/// A cursor that belongs to its query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cursor(Position);

impl Cursor {
    /// Reads a cursor; an empty one stands for the beginning.
    pub(super) fn read(
        text: &str,
        integration: IntegrationId,
        kinds: &[ResourceKind],
        query: &ListQuery,
    ) -> Result<Self, ScimError> {
        if text.is_empty() {
            return Ok(Self(match query.sort_by {
                Some(_) => Position::Offset(0),
                None => Position::After(None),
            }));
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| unknown())?;
        let (digest, place) = bytes.split_at_checked(DIGEST).ok_or_else(unknown)?;
        if digest != self::digest(place, integration, kinds, query) {
            return Err(unknown());
        }
        let (tag, rest) = place.split_first().ok_or_else(unknown)?;
        let position = match tag {
            0 => Position::After(None),
            1 => {
                let offset = rest.try_into().map_err(|_| unknown())?;
                Position::Offset(u64::from_be_bytes(offset))
            }
            _ => {
                let (kind, id) = rest.split_at_checked(8).ok_or_else(unknown)?;
                let kind = kind.try_into().map_err(|_| unknown())?;
                let id = id.try_into().map_err(|_| unknown())?;
                let kind = ResourceKind::from_number(i64::from_be_bytes(kind));
                Position::After(Some((kind, ResourceId::from_bytes(id))))
            }
        };
        Ok(Self(position))
    }

    /// Writes the cursor of a position.
    pub(super) fn write(
        position: Position,
        integration: IntegrationId,
        kinds: &[ResourceKind],
        query: &ListQuery,
    ) -> String {
        let mut place = Vec::with_capacity(25);
        match position {
            Position::After(None) => place.push(0),
            Position::After(Some((kind, id))) => {
                place.push(2);
                place.extend_from_slice(&kind.number().to_be_bytes());
                place.extend_from_slice(id.as_bytes());
            }
            Position::Offset(offset) => {
                place.push(1);
                place.extend_from_slice(&offset.to_be_bytes());
            }
        }
        let mut bytes = digest(&place, integration, kinds, query);
        bytes.extend_from_slice(&place);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    pub(super) fn after(&self) -> Result<Option<(ResourceKind, ResourceId)>, ScimError> {
        match self.0 {
            Position::After(after) => Ok(after),
            Position::Offset(_) => Err(unknown()),
        }
    }

    pub(super) fn offset(&self) -> Result<u64, ScimError> {
        match self.0 {
            Position::Offset(offset) => Ok(offset),
            Position::After(_) => Err(unknown()),
        }
    }
}

fn digest(
    place: &[u8],
    integration: IntegrationId,
    kinds: &[ResourceKind],
    query: &ListQuery,
) -> Vec<u8> {
    let mut hash = Sha256::new();
    hash.update(integration.as_bytes());
    hash.update(place);
    hash.update(format!(
        "{kinds:?} {:?} {:?} {:?}",
        query.filter, query.sort_by, query.sort_order
    ));
    hash.finalize()[..DIGEST].to_vec()
}

fn unknown() -> ScimError {
    ScimError::invalid_cursor(
        "this cursor belongs to another query, or is none of this server; start with an empty one",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(filter: &str) -> ListQuery {
        ListQuery::from_pairs([("filter", filter)]).unwrap()
    }

    // RFC 9865 section 2; profile section 6.5.
    #[test]
    fn a_cursor_gives_its_place_back_to_its_own_query_only() {
        let (own, other) = (IntegrationId::new(), IntegrationId::new());
        let after = Position::After(Some((ResourceKind::GROUP, ResourceId::new())));
        for position in [after, Position::After(None), Position::Offset(u64::MAX)] {
            let asked = query("title pr");
            let text = Cursor::write(position, own, &ResourceKind::STANDARD, &asked);
            assert!(
                text.bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
            );
            let read = |who, kinds: &[ResourceKind], query: &ListQuery| {
                Cursor::read(&text, who, kinds, query)
            };
            assert_eq!(
                read(own, &ResourceKind::STANDARD, &asked),
                Ok(Cursor(position))
            );
            assert!(read(other, &ResourceKind::STANDARD, &asked).is_err());
            assert!(read(own, &[ResourceKind::USER], &asked).is_err());
            assert!(read(own, &ResourceKind::STANDARD, &query("name pr")).is_err());
        }
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        for text in ["x", "AAAA", "////", "AAAAAAAAAAAA", &"A".repeat(10_000)] {
            let read = Cursor::read(
                text,
                IntegrationId::new(),
                &[ResourceKind::USER],
                &query("id pr"),
            );
            let error = read.unwrap_err();
            assert_eq!(error.scim_type, Some(muster_scim::ScimType::InvalidCursor));
        }
    }
}
