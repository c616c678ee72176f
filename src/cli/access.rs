//! `mercato user create` and `mercato apikey create`: ways into a shop that nobody can sign in to
//! yet.

use std::io::{BufRead, IsTerminal};

use clap::Args;

use super::{CommandError, print, print_status, start_app};
use crate::config::Overrides;
use crate::domain::access::permissions::Permission;
use crate::error::{Error, with_causes};
use crate::services::access::api_keys::NewApiKey;
use crate::services::staff::StaffPatch;

/// Create a staff member.
#[derive(Args)]
pub(super) struct UserArgs {
    /// The e-mail address they sign in with
    #[arg(long)]
    email: String,
    /// The name of a role; admin has all permissions. Can be given several times
    #[arg(long, required = true)]
    role: Vec<String>,
    /// Their name [default: the part of the e-mail address before the @]
    #[arg(long)]
    name: Option<String>,
}

/// Create an API key.
#[derive(Args)]
pub(super) struct ApikeyArgs {
    /// Its name, which also appears in logs and events
    #[arg(long)]
    name: String,
    /// Its permissions, such as READ_PRODUCTS,WRITE_PRODUCTS, or all
    #[arg(long, value_delimiter = ',', required_unless_present = "storefront")]
    permissions: Vec<String>,
    /// Create a public storefront key instead, which permits reading the catalog and buying, for
    /// the header X-Shopify-Storefront-Access-Token
    #[arg(long, conflicts_with = "permissions")]
    storefront: bool,
}

pub(super) async fn create_user(args: UserArgs, overrides: &Overrides) -> Result<(), CommandError> {
    let app = start_app(overrides).await?;
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
    let default_name = args.email.split('@').next().unwrap_or_default().to_owned();
    let new = StaffPatch {
        name: Some(args.name.unwrap_or(default_name)),
        password: Some(read_password()?),
        email: Some(args.email),
        role_ids: Some(role_ids),
        is_active: None,
    };
    let member = staff.create(&op, &new).await.map_err(failed)?;
    print_status(&format!("{} may sign in", member.email));
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
    let app = start_app(overrides).await?;
    let new = NewApiKey { name: args.name, permissions, expires_at: None, is_storefront: args.storefront };
    let (_, secret) = app.services.api_keys.create(&app.system(), &new).await.map_err(failed)?;
    print(&format!("{secret}\n"))
}

/// Reads a password: prompts twice without echo, or reads the first line of piped input.
fn read_password() -> Result<String, CommandError> {
    let read_error =
        |error: std::io::Error| CommandError::Failed(format!("the password can't be read: {error}"));
    if !std::io::stdin().is_terminal() {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map_err(read_error)?;
        return Ok(line.trim_end_matches(['\r', '\n']).to_owned());
    }
    let first = rpassword::prompt_password("Password: ").map_err(read_error)?;
    if rpassword::prompt_password("Repeat password: ").map_err(read_error)? == first {
        Ok(first)
    } else {
        Err(CommandError::Failed("the passwords don't match".to_owned()))
    }
}

/// Formats an error; validation errors are one per line.
fn failed(error: Error) -> CommandError {
    CommandError::Failed(match error {
        Error::Invalid(errors) => {
            errors.into_iter().map(|error| error.message).collect::<Vec<_>>().join("\n         ")
        }
        error => with_causes(&error),
    })
}
