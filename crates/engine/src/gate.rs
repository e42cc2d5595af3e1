//! The one way to the target: whatever the engine asks of it or writes to it goes through here.

use muster_model::Value;
use muster_model::directory::Kind;
use muster_model::link::TargetId;

use crate::limit::Limiter;
use crate::port::{Target, TargetError, TargetObject, Write};

/// A target behind its limiter.
pub(crate) struct Gate<'a> {
    pub(crate) target: &'a dyn Target,
    pub(crate) limiter: &'a Limiter,
}

impl Gate<'_> {
    /// The objects whose attribute at `path` equals `value`; two suffice to tell that there are several.
    pub(crate) async fn find(
        &self,
        kind: Kind,
        path: &str,
        value: &Value,
    ) -> Result<Vec<TargetObject>, TargetError> {
        let find = || self.target.find(kind, path, value);
        self.limiter.run(find).await
    }

    /// The object with this id.
    pub(crate) async fn read(
        &self,
        kind: Kind,
        id: &TargetId,
    ) -> Result<TargetObject, TargetError> {
        self.limiter.run(|| self.target.read(kind, id)).await
    }

    /// Writes; answers the id of what was created. A creation is sent once, whatever comes of it;
    /// everything else does the same when it is sent again, and is.
    pub(crate) async fn write(
        &self,
        kind: Kind,
        write: &Write<'_>,
    ) -> Result<Option<TargetId>, TargetError> {
        let send = || self.target.write(kind, write);
        match write {
            Write::Create(_) => self.limiter.once(send).await,
            _ => self.limiter.run(send).await,
        }
    }

    /// Does the target say that it holds no object of this kind?
    pub(crate) async fn is_empty(&self, kind: Kind) -> Result<bool, TargetError> {
        self.limiter.run(|| self.target.is_empty(kind)).await
    }
}
