//! `@inContext` on operations: the buyer's country and language.
//!
//! The other arguments of the Storefront API are validated but have no effect: prices are the same
//! for all buyers and stores, and visitors are not tracked.
//!
//! async-graphql supports directives only on fields, so the directive is registered here for
//! validation, and `document` reads it from the parsed document before execution.

use std::borrow::Cow;

use async_graphql::parser::types::{Directive, OperationDefinition};
use async_graphql::registry::{__DirectiveLocation as Location, MetaDirective, MetaInputValue, Registry};
use async_graphql::{
    ContextDirective, CustomDirective, CustomDirectiveFactory, ID, InputObject, InputType, ServerError,
    ServerResult, Value, Variables,
};

use crate::context::Locale;
use crate::graphql::types::codes::{CountryCode, LanguageCode};

/// The `@inContext` directive in the schema.
pub(crate) struct InContext;

/// The identity of a buyer who purchases on behalf of a company.
#[derive(InputObject)]
struct BuyerInput {
    /// The ID of the company location. Has no effect, since companies are not supported.
    company_location_id: Option<ID>,
    /// The access token of the customer. Has no effect here: pass it to `customer` and to carts.
    customer_access_token: String,
}

/// The visitor's consent to data processing. Has no effect, since visitors are not tracked.
#[derive(InputObject)]
struct VisitorConsent {
    /// Whether the visitor consents to analytics.
    analytics: Option<bool>,
    /// Whether the visitor consents to marketing.
    marketing: Option<bool>,
    /// Whether the visitor consents to storing preferences.
    preferences: Option<bool>,
    /// Whether the visitor consents to the sale of data.
    sale_of_data: Option<bool>,
}

impl CustomDirectiveFactory for InContext {
    fn name(&self) -> Cow<'static, str> {
        "inContext".into()
    }

    fn register(&self, registry: &mut Registry) {
        let country = <Option<CountryCode> as InputType>::create_type_info(registry);
        let language = <Option<LanguageCode> as InputType>::create_type_info(registry);
        let buyer = <Option<BuyerInput> as InputType>::create_type_info(registry);
        let location = <Option<ID> as InputType>::create_type_info(registry);
        let consent = <Option<VisitorConsent> as InputType>::create_type_info(registry);
        let args = [
            argument(
                "buyer",
                buyer,
                "The identity of a buyer who purchases on behalf of a company. Has no effect.",
            ),
            argument("country", country, "The country of the buyer."),
            argument("language", language, "The language of the buyer."),
            argument(
                "preferredLocationId",
                location,
                "The ID of the location the buyer prefers. Has no effect.",
            ),
            argument("visitorConsent", consent, "The visitor's consent to data processing. Has no effect."),
        ];
        registry.add_directive(MetaDirective {
            name: "inContext".to_owned(),
            description: Some(
                "Sets the country and language of the buyer. Defaults to the country and language of the shop."
                    .to_owned(),
            ),
            locations: vec![Location::QUERY, Location::MUTATION, Location::SUBSCRIPTION],
            args: args.into_iter().collect(),
            is_repeatable: false,
            visible: None,
            composable: None,
        });
    }

    fn create(
        &self,
        _: &ContextDirective<'_>,
        directive: &Directive,
    ) -> ServerResult<Box<dyn CustomDirective>> {
        let pos = directive.name.pos;
        Err(ServerError::new("@inContext belongs on the operation, not on a field", Some(pos)))
    }
}

pub(super) fn argument(name: &str, ty: String, description: &str) -> (String, MetaInputValue) {
    let value = MetaInputValue {
        name: name.to_owned(),
        description: Some(description.to_owned()),
        ty,
        deprecation: async_graphql::registry::Deprecation::NoDeprecated,
        default_value: None,
        visible: None,
        inaccessible: false,
        tags: Vec::new(),
        is_secret: false,
        directive_invocations: Vec::new(),
    };
    (name.to_owned(), value)
}

/// Reads the buyer's country and language from an operation's directive. `variables` must include
/// defaults.
///
/// # Errors
/// A message about an unknown code.
pub(crate) fn read_locale(operation: &OperationDefinition, variables: &Variables) -> Result<Locale, String> {
    let mut locale = Locale::default();
    let Some(directive) =
        operation.directives.iter().find(|directive| directive.node.name.node == "inContext")
    else {
        return Ok(locale);
    };
    let argument = |name: &str| -> Option<Value> {
        let value = directive.node.get_argument(name)?.node.clone();
        value.into_const_with(|name| Ok::<_, ()>(variables.get(&name).cloned().unwrap_or_default())).ok()
    };
    let unknown = |kind: &str, value: &Value| format!("@inContext: {value} is not a {kind} code");
    if let Some(value) = argument("country").filter(|value| *value != Value::Null) {
        let code = <CountryCode as InputType>::parse(Some(value.clone()))
            .map_err(|_error| unknown("country", &value))?;
        locale.country = Some(code.0);
    }
    if let Some(value) = argument("language").filter(|value| *value != Value::Null) {
        let code = <LanguageCode as InputType>::parse(Some(value.clone()))
            .map_err(|_error| unknown("language", &value))?;
        locale.language = Some(code.0);
    }
    Ok(locale)
}
