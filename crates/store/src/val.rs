//! A value on its way into or out of the database.

use bytes::BytesMut;
use muster_model::{
    AdministratorId, ApplicationId, AssignmentId, CycleId, EventId, GroupId, IntegrationId, JobId,
    ObjectId, ResourceId, RoleId, SessionId, TenantId, Timestamp, TokenId, UserId, WebhookId,
};
use rusqlite::types::{ToSqlOutput, ValueRef};
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

/// A parameter or a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Val {
    /// SQL NULL.
    Null,
    /// Whole number.
    Int(i64),
    /// Boolean; SQLite keeps it as 0 or 1.
    Bool(bool),
    /// Text.
    Text(String),
    /// The sixteen bytes of an id.
    Id([u8; 16]),
    /// Any other bytes.
    Bytes(Vec<u8>),
}

impl rusqlite::ToSql for Val {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(number) => ValueRef::Integer(*number),
            Self::Bool(flag) => ValueRef::Integer(i64::from(*flag)),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Id(bytes) => ValueRef::Blob(bytes),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

impl Val {
    pub(crate) fn from_sqlite(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(number) => Self::Int(number),
            ValueRef::Real(number) => Self::Int(number as i64),
            ValueRef::Text(text) => Self::Text(match std::str::from_utf8(text) {
                Ok(text) => text.to_owned(),
                Err(_) => String::from_utf8_lossy(text).into_owned(),
            }),
            ValueRef::Blob(bytes) => {
                <[u8; 16]>::try_from(bytes).map_or_else(|_| Self::Bytes(bytes.to_vec()), Self::Id)
            }
        }
    }

    pub(crate) fn from_postgres(
        row: &tokio_postgres::Row,
        column: usize,
    ) -> Result<Self, tokio_postgres::Error> {
        let ty = row.columns()[column].type_();
        Ok(if *ty == Type::INT8 {
            row.try_get::<_, Option<i64>>(column)?
                .map_or(Self::Null, Self::Int)
        } else if *ty == Type::INT4 {
            row.try_get::<_, Option<i32>>(column)?
                .map_or(Self::Null, |n| Self::Int(n.into()))
        } else if *ty == Type::BOOL {
            row.try_get::<_, Option<bool>>(column)?
                .map_or(Self::Null, Self::Bool)
        } else if *ty == Type::BYTEA {
            row.try_get::<_, Option<&[u8]>>(column)?
                .map_or(Self::Null, |bytes| {
                    <[u8; 16]>::try_from(bytes)
                        .map_or_else(|_| Self::Bytes(bytes.to_vec()), Self::Id)
                })
        } else {
            row.try_get::<_, Option<String>>(column)?
                .map_or(Self::Null, Self::Text)
        })
    }
}

impl ToSql for Val {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Int(number) if *ty == Type::INT4 => i32::try_from(*number)?.to_sql(ty, out),
            Self::Int(number) => number.to_sql(ty, out),
            Self::Bool(flag) => flag.to_sql(ty, out),
            Self::Text(text) => text.to_sql(ty, out),
            Self::Id(bytes) => bytes.as_slice().to_sql(ty, out),
            Self::Bytes(bytes) => bytes.to_sql(ty, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

macro_rules! into_val {
    ($($ty:ty => |$it:ident| $expr:expr),+ $(,)?) => {$(
        impl From<$ty> for Val {
            fn from($it: $ty) -> Self { $expr }
        }
    )+};
}
into_val! {
    i64 => |it| Self::Int(it),
    u64 => |it| Self::Int(it as i64),
    u32 => |it| Self::Int(it.into()),
    bool => |it| Self::Bool(it),
    String => |it| Self::Text(it),
    &str => |it| Self::Text(it.to_owned()),
    &String => |it| Self::Text(it.clone()),
    Vec<u8> => |it| Self::Bytes(it),
    Timestamp => |it| Self::Int(it.as_micros()),
    TenantId => |it| Self::Int(it.0),
}

impl<T: Into<Self>> From<Option<T>> for Val {
    fn from(it: Option<T>) -> Self {
        it.map_or(Self::Null, Into::into)
    }
}

/// What a column can be read as; the error says what was there instead.
pub trait FromVal: Sized {
    /// Reads a column.
    fn from_val(val: Val) -> Result<Self, String>;
}

fn wrong<T>(wanted: &str, got: &Val) -> Result<T, String> {
    let got = match got {
        Val::Null => "null",
        Val::Int(_) => "a number",
        Val::Bool(_) => "a boolean",
        Val::Text(_) => "text",
        Val::Id(_) => "an id",
        Val::Bytes(_) => "bytes",
    };
    Err(format!("expected {wanted}, found {got}"))
}

impl FromVal for i64 {
    fn from_val(val: Val) -> Result<Self, String> {
        match val {
            Val::Int(number) => Ok(number),
            other => wrong("a number", &other),
        }
    }
}
impl FromVal for u64 {
    fn from_val(val: Val) -> Result<Self, String> {
        i64::from_val(val)
            .and_then(|n| Self::try_from(n).map_err(|_| "a negative number".to_owned()))
    }
}
impl FromVal for u32 {
    fn from_val(val: Val) -> Result<Self, String> {
        i64::from_val(val)
            .and_then(|n| Self::try_from(n).map_err(|_| "a number out of range".to_owned()))
    }
}
impl FromVal for bool {
    fn from_val(val: Val) -> Result<Self, String> {
        match val {
            Val::Bool(flag) => Ok(flag),
            Val::Int(number) => Ok(number != 0),
            other => wrong("a boolean", &other),
        }
    }
}
impl FromVal for String {
    fn from_val(val: Val) -> Result<Self, String> {
        match val {
            Val::Text(text) => Ok(text),
            other => wrong("text", &other),
        }
    }
}
impl FromVal for Vec<u8> {
    fn from_val(val: Val) -> Result<Self, String> {
        match val {
            Val::Bytes(bytes) => Ok(bytes),
            Val::Id(bytes) => Ok(bytes.to_vec()),
            other => wrong("bytes", &other),
        }
    }
}
impl FromVal for Timestamp {
    fn from_val(val: Val) -> Result<Self, String> {
        i64::from_val(val).map(Self::from_micros)
    }
}
impl FromVal for Val {
    fn from_val(val: Val) -> Result<Self, String> {
        Ok(val)
    }
}
impl<T: FromVal> FromVal for Option<T> {
    fn from_val(val: Val) -> Result<Self, String> {
        match val {
            Val::Null => Ok(None),
            other => T::from_val(other).map(Some),
        }
    }
}

macro_rules! id_val {
    ($($ty:ty),+ $(,)?) => {$(
        impl From<$ty> for Val {
            fn from(id: $ty) -> Self { Self::Id(*id.as_bytes()) }
        }
        impl FromVal for $ty {
            fn from_val(val: Val) -> Result<Self, String> {
                match val {
                    Val::Id(bytes) => Ok(Self::from_bytes(bytes)),
                    other => wrong("an id", &other),
                }
            }
        }
    )+};
}
id_val!(
    ApplicationId,
    AssignmentId,
    CycleId,
    EventId,
    GroupId,
    IntegrationId,
    JobId,
    ObjectId,
    ResourceId,
    RoleId,
    TokenId,
    UserId,
    WebhookId,
    AdministratorId,
    SessionId,
);
