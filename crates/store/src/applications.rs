//! Enterprise applications and their roles.

use muster_model::application::{AppRole, Application};
use muster_model::{ApplicationId, JobId, RoleId, TenantId};

use crate::users::name_key;
use crate::{FromRow, Row, StoreError, Tx};

const COLUMNS: &str = "id, display_name, template, job, created";

impl FromRow for Application {
    fn from_row(row: &mut Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.take()?,
            display_name: row.take()?,
            template: row.take()?,
            job: row.take()?,
            created: row.take()?,
        })
    }
}

impl FromRow for AppRole {
    fn from_row(row: &mut Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.take()?,
            value: row.take()?,
            display_name: row.take()?,
        })
    }
}

/// Adds an application; [`StoreError::Duplicate`] when its name is taken.
pub async fn create(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    application: &Application,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO applications \
               (tenant, id, display_name, name_key, template, job, created) \
               VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let params = [
        tenant.into(),
        application.id.into(),
        (&application.display_name).into(),
        name_key(&application.display_name).into(),
        application.template.clone().into(),
        application.job.into(),
        application.created.into(),
    ];
    tx.exec(sql, &params).await.map(|_| ())
}

/// The application with this id.
pub async fn find(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    id: ApplicationId,
) -> Result<Option<Application>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM applications WHERE tenant = $1 AND id = $2");
    tx.one(&sql, &[tenant.into(), id.into()]).await
}

/// The application with this display name, ignoring case.
pub async fn find_by_name(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    display_name: &str,
) -> Result<Option<Application>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM applications WHERE tenant = $1 AND name_key = $2");
    tx.one(&sql, &[tenant.into(), name_key(display_name).into()])
        .await
}

/// All applications by name.
pub async fn list(tx: &mut Tx<'_>, tenant: TenantId) -> Result<Vec<Application>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM applications WHERE tenant = $1 ORDER BY name_key");
    tx.all(&sql, &[tenant.into()]).await
}

/// Adds a role to an application.
pub async fn add_role(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    application: ApplicationId,
    role: &AppRole,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO app_roles (tenant, application, id, value, display_name) \
               VALUES ($1, $2, $3, $4, $5)";
    let params = [
        tenant.into(),
        application.into(),
        role.id.into(),
        (&role.value).into(),
        (&role.display_name).into(),
    ];
    tx.exec(sql, &params).await.map(|_| ())
}

/// The roles of an application by display name.
pub async fn roles(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    application: ApplicationId,
) -> Result<Vec<AppRole>, StoreError> {
    let sql = "SELECT id, value, display_name FROM app_roles \
               WHERE tenant = $1 AND application = $2 ORDER BY display_name, id";
    tx.all(sql, &[tenant.into(), application.into()]).await
}

/// The role with this id.
pub async fn role(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    application: ApplicationId,
    id: RoleId,
) -> Result<Option<AppRole>, StoreError> {
    let sql = "SELECT id, value, display_name FROM app_roles \
               WHERE tenant = $1 AND application = $2 AND id = $3";
    tx.one(sql, &[tenant.into(), application.into(), id.into()])
        .await
}

/// Gives an application another name; [`StoreError::Duplicate`] when that is taken.
pub async fn rename(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    id: ApplicationId,
    display_name: &str,
) -> Result<(), StoreError> {
    let sql = "UPDATE applications SET display_name = $1, name_key = $2 \
               WHERE tenant = $3 AND id = $4";
    let params = [
        display_name.into(),
        name_key(display_name).into(),
        tenant.into(),
        id.into(),
    ];
    tx.exec(sql, &params).await.map(|_| ())
}

/// Makes these the roles of an application.
pub async fn set_roles(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    application: ApplicationId,
    roles: &[AppRole],
) -> Result<(), StoreError> {
    let sql = "DELETE FROM app_roles WHERE tenant = $1 AND application = $2";
    tx.exec(sql, &[tenant.into(), application.into()]).await?;
    for role in roles {
        add_role(tx, tenant, application, role).await?;
    }
    Ok(())
}

/// The job of an application is another one from now on.
pub async fn set_job(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    id: ApplicationId,
    job: JobId,
) -> Result<(), StoreError> {
    let sql = "UPDATE applications SET job = $1 WHERE tenant = $2 AND id = $3";
    tx.exec(sql, &[job.into(), tenant.into(), id.into()])
        .await
        .map(|_| ())
}
