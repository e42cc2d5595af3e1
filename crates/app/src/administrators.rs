//! Who may use the pages: the first one by a link, the others by whoever may add them; signing in and out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use argon2::Argon2;
use argon2::password_hash::rand_core::OsRng;
use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
pub use muster_engine::port::{Begun, Issuer};
use muster_model::administrator::{Administrator, Role, Session};
use muster_model::audit::activity;
use muster_model::{AdministratorId, Secret, SessionId, Timestamp};
use muster_store::{StoreError, administrators, audit as audit_log};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::integrations::{new_secret, token_hash, valid_name};
use crate::{AppError, Ctx, audit};

/// A session ends so many seconds after it was last used.
const IDLE: i64 = 12 * 3600;
/// And so many after it began.
const LONGEST: i64 = 7 * 86_400;
/// A session that was used is noted once in so many seconds.
const TOUCHED: i64 = 60;
/// The link for the first administrator is good for so many seconds.
const WELCOME: i64 = 86_400;
/// Characters of a password.
const PASSWORD: std::ops::RangeInclusive<usize> = 12..=200;
/// So many wrong passwords from one address within so many seconds, or so many from anywhere, and a name waits.
const WRONG: usize = 8;
const WRONG_FROM_ANYWHERE: usize = 200;
const WITHIN: i64 = 300;
/// Names of which wrong passwords are remembered at most.
const REMEMBERED: usize = 10_000;

/// Somebody who has just signed in: the session, and the token that the browser keeps.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// The session.
    pub session: Session,
    /// Its token.
    pub token: Secret<String>,
}

/// Everybody who may sign in, by name.
pub async fn list(ctx: &Ctx) -> Result<Vec<Administrator>, AppError> {
    let tenant = ctx.tenant;
    let read = ctx.store.read::<_, AppError, _>(|tx| {
        Box::pin(async move { Ok(administrators::list(tx, tenant).await?) })
    });
    read.await
}

/// The code of a new link with which the first administrator is made; none when there is somebody already. A link
/// that was made before is good no more.
pub async fn welcome(ctx: &Ctx) -> Result<Option<Secret<String>>, AppError> {
    if !list(ctx).await?.is_empty() {
        return Ok(None);
    }
    let code = new_secret()?;
    let (tenant, hash) = (ctx.tenant, token_hash(code.expose()));
    let expires = ctx.clock.now().plus_seconds(WELCOME);
    let kept = ctx.store.write::<_, AppError, _>(move |tx| {
        Box::pin(async move { Ok(administrators::keep_welcome(tx, tenant, &hash, expires).await?) })
    });
    kept.await?;
    Ok(Some(code))
}

/// Can this link be used?
pub async fn is_welcome(ctx: &Ctx, code: &str) -> Result<bool, AppError> {
    let (tenant, hash, now) = (ctx.tenant, token_hash(code), ctx.clock.now());
    let read = ctx.store.read::<_, AppError, _>(|tx| {
        Box::pin(async move { Ok(administrators::is_welcome(tx, tenant, &hash, now).await?) })
    });
    read.await
}

/// Uses the link up: makes the first administrator.
pub async fn begin(
    ctx: &Ctx,
    code: &str,
    name: &str,
    password: &str,
) -> Result<Administrator, AppError> {
    let who = new_one(ctx, name, Role::Administrator)?;
    let used = || {
        AppError::Refused(
            "the link was used, or has expired: start the server again for another one".to_owned(),
        )
    };
    // A password is not even looked at for who has no link.
    if !is_welcome(ctx, code).await? {
        return Err(used());
    }
    let kept = hashed(password).await?;
    let (tenant, hash, now) = (ctx.tenant, token_hash(code), ctx.clock.now());
    let (entry, added) = (entry(ctx, &who, "the first one"), who.clone());
    let done = ctx.store.write::<_, AppError, _>(move |tx| {
        Box::pin(async move {
            if !administrators::take_welcome(tx, tenant, &hash, now).await? {
                return Err(used());
            }
            if !administrators::list(tx, tenant).await?.is_empty() {
                return Err(AppError::Refused(
                    "there is an administrator already".to_owned(),
                ));
            }
            administrators::add(tx, tenant, &added, &kept).await?;
            Ok(audit_log::append(tx, tenant, &entry).await?)
        })
    });
    done.await?;
    Ok(who)
}

fn new_one(ctx: &Ctx, name: &str, role: Role) -> Result<Administrator, AppError> {
    Ok(Administrator {
        id: AdministratorId::new(),
        name: valid_name("administrator", name)?,
        role,
        created: ctx.clock.now(),
        last_signed_in: None,
    })
}

fn entry(ctx: &Ctx, who: &Administrator, what: &str) -> muster_model::audit::Audited {
    let detail = format!("{} ({}): {what}", who.name, who.role);
    audit::general(ctx, activity::ADMINISTRATOR, detail)
}

/// Adds somebody, with a password, or for who signs in elsewhere without one.
pub async fn add(
    ctx: &Ctx,
    name: &str,
    role: Role,
    password: Option<&str>,
) -> Result<Administrator, AppError> {
    let who = new_one(ctx, name, role)?;
    let nobodys = new_secret()?;
    let hash = hashed(password.unwrap_or(nobodys.expose())).await?;
    let (tenant, entry, added) = (ctx.tenant, entry(ctx, &who, "added"), who.clone());
    let done = ctx.store.write::<_, AppError, _>(move |tx| {
        Box::pin(async move {
            let kept = administrators::add(tx, tenant, &added, &hash).await;
            kept.map_err(|error| match error {
                StoreError::Duplicate(_) => AppError::Taken(format!(
                    "{} is there already; choose another name",
                    added.name
                )),
                other => other.into(),
            })?;
            Ok(audit_log::append(tx, tenant, &entry).await?)
        })
    });
    done.await?;
    Ok(who)
}

/// Gives somebody another role, or takes them out when it is none. The last administrator stays.
pub async fn set_role(ctx: &Ctx, id: AdministratorId, role: Option<Role>) -> Result<(), AppError> {
    let (tenant, ctx) = (ctx.tenant, ctx.clone());
    let store = ctx.store.clone();
    let done = store.write::<_, AppError, _>(move |tx| {
        Box::pin(async move {
            let all = administrators::list_to_change(tx, tenant).await?;
            let who = all
                .iter()
                .find(|it| it.id == id)
                .ok_or_else(|| AppError::NotFound("they are not there any more".to_owned()))?;
            let others = all
                .iter()
                .any(|it| it.id != id && it.role == Role::Administrator);
            if role != Some(Role::Administrator) && !others {
                return Err(AppError::Refused(
                    "somebody must stay an administrator; make somebody else one first".to_owned(),
                ));
            }
            let what = if let Some(role) = role {
                administrators::set_role(tx, tenant, id, role).await?;
                format!("is {role} now")
            } else {
                administrators::remove(tx, tenant, id).await?;
                "removed".to_owned()
            };
            Ok(audit_log::append(tx, tenant, &entry(&ctx, who, &what)).await?)
        })
    });
    done.await
}

/// Gives somebody a password that nobody has chosen, and ends their sessions; it is told this once.
pub async fn reset_password(ctx: &Ctx, name: &str) -> Result<Secret<String>, AppError> {
    let password = new_secret()?;
    set_password(ctx, name, password.expose(), None).await?;
    Ok(password)
}

/// Gives somebody the password that they have chosen, and ends their sessions but the one from which they do it.
/// Answers false when `old` is not the one they had, which counts as a wrong password.
pub async fn change_password(
    ctx: &Ctx,
    who: &Administrator,
    (old, new): (&str, &str),
    from: (Option<IpAddr>, SessionId),
) -> Result<bool, AppError> {
    if right_password(ctx, &who.name, old, from.0).await?.is_none() {
        return Ok(false);
    }
    set_password(ctx, &who.name, new, Some(from.1)).await?;
    Ok(true)
}

async fn set_password(
    ctx: &Ctx,
    name: &str,
    password: &str,
    stays: Option<SessionId>,
) -> Result<(), AppError> {
    let hash = hashed(password).await?;
    let (tenant, wanted) = (ctx.tenant, name.trim().to_owned());
    let entry = audit::general(
        ctx,
        activity::ADMINISTRATOR,
        format!("{wanted}: another password"),
    );
    let done = ctx.store.write::<_, AppError, _>(move |tx| {
        Box::pin(async move {
            let known = administrators::password(tx, tenant, &wanted).await?;
            let (id, _) = known.ok_or_else(|| {
                AppError::NotFound(format!("there is no administrator named {wanted}"))
            })?;
            administrators::set_password(tx, tenant, id, &hash).await?;
            for session in administrators::sessions(tx, tenant, id).await? {
                if Some(session.id) != stays {
                    administrators::end_sessions(tx, tenant, id, Some(session.id)).await?;
                }
            }
            Ok(audit_log::append(tx, tenant, &entry).await?)
        })
    });
    done.await
}

/// Passwords that are looked at at once: each takes a core and 19 MiB for a moment.
static AT_ONCE: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(2)));

async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, AppError> {
    let refused = |error: &dyn std::fmt::Display| AppError::Refused(error.to_string());
    let permit = Arc::clone(&AT_ONCE).acquire_owned().await;
    let permit = permit.map_err(|error| refused(&error))?;
    // The permit goes with the work: who asked may be gone before it is done.
    let working = tokio::task::spawn_blocking(move || {
        let done = work();
        drop(permit);
        done
    });
    working.await.map_err(|error| refused(&error))
}

/// A password as it is kept: argon2id.
async fn hashed(password: &str) -> Result<String, AppError> {
    let letters = password.chars().count();
    if !PASSWORD.contains(&letters) {
        return Err(AppError::Invalid(format!(
            "a password has {} to {} characters",
            PASSWORD.start(),
            PASSWORD.end()
        )));
    }
    let password = Secret::new(password.to_owned());
    let hashed = apart(move || {
        let salt = SaltString::generate(&mut OsRng);
        Argon2::default()
            .hash_password(password.expose().as_bytes(), &salt)
            .map(|hash| hash.to_string())
    });
    hashed
        .await?
        .map_err(|error| AppError::Refused(error.to_string()))
}

/// Is it the password of this hash? Of nobody's hash it is not, but takes as long.
async fn is_password(kept: Option<String>, password: &str) -> Result<bool, AppError> {
    static NOBODY: LazyLock<String> = LazyLock::new(|| {
        let salt = SaltString::generate(&mut OsRng);
        let hash = Argon2::default().hash_password(b"nobody has this password", &salt);
        hash.map(|hash| hash.to_string()).unwrap_or_default()
    });
    let password = Secret::new(password.chars().take(*PASSWORD.end()).collect::<String>());
    apart(move || {
        let is_known = kept.is_some();
        let kept = kept.unwrap_or_else(|| NOBODY.clone());
        let is_it = PasswordHash::new(&kept).is_ok_and(|hash| {
            let verified = Argon2::default().verify_password(password.expose().as_bytes(), &hash);
            verified.is_ok()
        });
        is_it && is_known
    })
    .await
}

/// Attempts that came lately and were not right, by name and address, and by name alone.
static REFUSED: Mutex<Option<HashMap<Tried, Vec<Timestamp>>>> = Mutex::new(None);

/// A name, and the address from which it was tried.
type Tried = (String, Option<IpAddr>);

/// An attempt to sign in. It counts as a wrong one from its beginning, so that many at once are as many.
struct Attempt {
    keys: [Tried; 2],
    at: Timestamp,
}

impl Attempt {
    /// None when there were too many already.
    fn begin(name: &str, from: Option<IpAddr>, now: Timestamp) -> Option<Self> {
        let since = now.plus_seconds(-WITHIN);
        let mut refused = REFUSED.lock();
        let all = refused.get_or_insert_with(HashMap::new);
        if all.len() >= REMEMBERED {
            all.retain(|_, times| times.last().is_some_and(|last| *last > since));
        }
        // Who is tried from elsewhere can still sign in from where they are.
        let keys = [(name.to_owned(), from), (format!("{name}\n"), None)];
        for (key, most) in keys.iter().zip([WRONG, WRONG_FROM_ANYWHERE]) {
            let times = all.entry(key.clone()).or_default();
            times.retain(|at| *at > since);
            if times.len() >= most {
                return None;
            }
        }
        for key in &keys {
            all.entry(key.clone()).or_default().push(now);
        }
        Some(Self { keys, at: now })
    }

    /// It was the right password.
    fn was_right(self) {
        let mut refused = REFUSED.lock();
        let Some(all) = refused.as_mut() else { return };
        for key in self.keys {
            if let Some(times) = all.get_mut(&key)
                && let Some(at) = times.iter().position(|at| *at == self.at)
            {
                times.remove(at);
            }
        }
    }
}

/// Signs somebody in from an address; none when name or password are wrong, which is not told apart.
///
/// # Errors
///
/// [`AppError::Refused`] when too many wrong passwords came for this name lately.
pub async fn sign_in(
    ctx: &Ctx,
    (name, password): (&str, &str),
    from: Option<IpAddr>,
    agent: &str,
) -> Result<Option<SignedIn>, AppError> {
    let Some(id) = right_password(ctx, name, password, from).await? else {
        return Ok(None);
    };
    open(ctx, id, agent).await.map(Some)
}

/// Who has this name, when it is their password.
async fn right_password(
    ctx: &Ctx,
    name: &str,
    password: &str,
    from: Option<IpAddr>,
) -> Result<Option<AdministratorId>, AppError> {
    let tenant = ctx.tenant;
    let name: String = name.trim().chars().take(200).collect();
    let Some(attempt) = Attempt::begin(&name.to_lowercase(), from, ctx.clock.now()) else {
        return Err(AppError::Refused(
            "there were too many wrong passwords for this name; try again in five minutes"
                .to_owned(),
        ));
    };
    let known = ctx.store.read::<_, AppError, _>(|tx| {
        Box::pin(async move { Ok(administrators::password(tx, tenant, &name).await?) })
    });
    let (id, kept) = known.await?.unzip();
    let is_it = is_password(kept, password).await?;
    let Some(id) = id.filter(|_| is_it) else {
        tracing::warn!("somebody could not be signed in");
        return Ok(None);
    };
    attempt.was_right();
    Ok(Some(id))
}

/// Signs in who has signed in elsewhere by this name; none when nobody has it.
pub async fn sign_in_elsewhere(
    ctx: &Ctx,
    name: &str,
    agent: &str,
) -> Result<Option<SignedIn>, AppError> {
    let (tenant, name) = (ctx.tenant, name.trim());
    let known = ctx.store.read::<_, AppError, _>(|tx| {
        Box::pin(async move { Ok(administrators::password(tx, tenant, name).await?) })
    });
    match known.await? {
        Some((id, _)) => open(ctx, id, agent).await.map(Some),
        None => Ok(None),
    }
}

/// Begins a session of somebody.
pub async fn open(ctx: &Ctx, id: AdministratorId, agent: &str) -> Result<SignedIn, AppError> {
    let (token, csrf, now) = (new_secret()?, new_secret()?, ctx.clock.now());
    let session = Session {
        id: SessionId::new(),
        administrator: id,
        csrf: csrf.expose().clone(),
        created: now,
        last_seen: now,
        expires: now.plus_seconds(IDLE),
        agent: agent
            .chars()
            .filter(|it| !it.is_control())
            .take(200)
            .collect(),
    };
    let (tenant, hash, begun) = (ctx.tenant, token_hash(token.expose()), session.clone());
    let kept = ctx.store.write::<_, AppError, _>(move |tx| {
        Box::pin(async move { Ok(administrators::begin_session(tx, tenant, &begun, &hash).await?) })
    });
    kept.await?;
    Ok(SignedIn { session, token })
}

/// Who has this session, if it is good. Asking for it is using it.
pub async fn session(ctx: &Ctx, token: &str) -> Result<Option<(Administrator, Session)>, AppError> {
    let found = unused_session(ctx, token).await?;
    if let Some((_, session)) = &found {
        use_session(ctx, session).await?;
    }
    Ok(found)
}

/// As [`session`], for what a page asks by itself: that does not keep a session alive.
pub async fn unused_session(
    ctx: &Ctx,
    token: &str,
) -> Result<Option<(Administrator, Session)>, AppError> {
    if token.is_empty() || token.len() > 200 {
        return Ok(None);
    }
    let (tenant, hash, now) = (ctx.tenant, token_hash(token), ctx.clock.now());
    let read = ctx.store.read::<_, AppError, _>(|tx| {
        Box::pin(async move {
            let Some(session) = administrators::session(tx, tenant, &hash).await? else {
                return Ok(None);
            };
            let who = administrators::find(tx, tenant, session.administrator).await?;
            Ok(who.map(|who| (who, session)))
        })
    });
    Ok(read.await?.filter(|(_, session)| now < session.expires))
}

async fn use_session(ctx: &Ctx, session: &Session) -> Result<(), AppError> {
    let (tenant, now) = (ctx.tenant, ctx.clock.now());
    if now > session.last_seen.plus_seconds(TOUCHED) {
        let until = now
            .plus_seconds(IDLE)
            .min(session.created.plus_seconds(LONGEST));
        let id = session.id;
        let noted = ctx.store.write::<_, AppError, _>(move |tx| {
            Box::pin(async move { Ok(administrators::touch(tx, tenant, id, (now, until)).await?) })
        });
        noted.await?;
    }
    Ok(())
}

/// The sessions of somebody, newest first.
pub async fn sessions(ctx: &Ctx, of: AdministratorId) -> Result<Vec<Session>, AppError> {
    let tenant = ctx.tenant;
    let read = ctx.store.read::<_, AppError, _>(|tx| {
        Box::pin(async move { Ok(administrators::sessions(tx, tenant, of).await?) })
    });
    read.await
}

/// Ends one session of somebody, or all of them.
pub async fn sign_out(
    ctx: &Ctx,
    of: AdministratorId,
    only: Option<SessionId>,
) -> Result<(), AppError> {
    let tenant = ctx.tenant;
    let ended = ctx.store.write::<_, AppError, _>(move |tx| {
        Box::pin(async move { Ok(administrators::end_sessions(tx, tenant, of, only).await?) })
    });
    ended.await?;
    Ok(())
}
