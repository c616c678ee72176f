//! `mercato user create` and `mercato apikey create`: the ways into a shop that nobody can enter yet.

use std::io::{BufRead, IsTerminal};

use clap::Args;

use super::{CommandError, app, print, say};
use crate::config::Overrides;
use crate::domain::permission::Permission;
use crate::error::{Error, with_causes};
use crate::services::api_keys::NewApiKey;
use crate::services::staff::StaffPatch;

/// A member of staff to be made.
#[derive(Args)]
pub struct UserArgs {
    /// The e-mail address they sign in with
    #[arg(long)]
    email: String,
    /// A role they have, by its name; `admin` may do everything. Can be given several times
    #[arg(long, required = true)]
    role: Vec<String>,
    /// How colleagues call them [default: what stands before the @]
    #[arg(long)]
    name: Option<String>,
}

/// A key to be made.
#[derive(Args)]
pub struct ApikeyArgs {
    /// What it is called, in the log and in events too
    #[arg(long)]
    name: String,
    /// What it permits: READ_PRODUCTS,WRITE_PRODUCTS or all
    #[arg(long, value_delimiter = ',', required_unless_present = "storefront")]
    permissions: Vec<String>,
    /// Make a storefront's public key instead, to read the catalogue and buy: for
    /// X-Shopify-Storefront-Access-Token
    #[arg(long, conflicts_with = "permissions")]
    storefront: bool,
}

pub(super) async fn create_user(args: UserArgs, overrides: &Overrides) -> Result<(), CommandError> {
    let app = app(overrides).await?;
    let (op, staff) = (app.system(), &app.services.staff);
    let known = staff.roles(&op).await.map_err(failed)?;
    let mut role_ids = Vec::with_capacity(args.role.len());
    for name in &args.role {
        let role = known.iter().find(|role| role.name == *name).ok_or_else(|| {
            let names: Vec<&str> = known.iter().map(|role| role.name.as_str()).collect();
            CommandError::Failed(format!("there is no role `{name}`: there are {}", names.join(", ")))
        })?;
        role_ids.push(role.id);
    }
    let usual_name = args.email.split('@').next().unwrap_or_default().to_owned();
    let new = StaffPatch {
        name: Some(args.name.unwrap_or(usual_name)),
        password: Some(password()?),
        email: Some(args.email),
        role_ids: Some(role_ids),
        is_active: None,
    };
    let member = staff.create(&op, &new).await.map_err(failed)?;
    say(&format!("{} may sign in", member.email));
    Ok(())
}

pub(super) async fn create_api_key(args: ApikeyArgs, overrides: &Overrides) -> Result<(), CommandError> {
    let mut permissions = Vec::new();
    for name in &args.permissions {
        match Permission::parse(name) {
            Some(permission) => permissions.push(permission),
            None if name.eq_ignore_ascii_case("all") => permissions.extend(Permission::ALL),
            None => {
                let names: Vec<&str> = Permission::ALL.iter().map(|one| one.as_str()).collect();
                let names = names.join(", ");
                return Err(CommandError::Failed(format!(
                    "there is no permission `{name}`: there are {names}"
                )));
            }
        }
    }
    let app = app(overrides).await?;
    let new = NewApiKey { name: args.name, permissions, expires_at: None, is_storefront: args.storefront };
    let (_, secret) = app.services.api_keys.create(&app.system(), &new).await.map_err(failed)?;
    print(&format!("{secret}\n"))
}

/// A password: asked for twice without being shown, or the first line of what is piped in.
fn password() -> Result<String, CommandError> {
    let unread = |error: std::io::Error| CommandError::Failed(format!("the password can't be read: {error}"));
    if !std::io::stdin().is_terminal() {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map_err(unread)?;
        return Ok(line.trim_end_matches(['\r', '\n']).to_owned());
    }
    let first = rpassword::prompt_password("Password: ").map_err(unread)?;
    if rpassword::prompt_password("Once more: ").map_err(unread)? == first {
        Ok(first)
    } else {
        Err(CommandError::Failed("those were two different passwords".to_owned()))
    }
}

/// Everything that is wrong with what was given, a line each.
fn failed(error: Error) -> CommandError {
    CommandError::Failed(match error {
        Error::Invalid(errors) => {
            errors.into_iter().map(|error| error.message).collect::<Vec<_>>().join("\n         ")
        }
        error => with_causes(&error),
    })
}
