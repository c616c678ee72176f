//! `@inContext` on operations: where and in which language the buyer shops.
//!
//! What else the dialect lets storefronts say is checked and has no effect: the shop sells at the same prices to everybody,
//! whatever store is nearest, and follows nobody.
//!
//! async-graphql runs directives on fields alone, so the directive is registered here for validation, and the HTTP layer
//! reads it from the parsed document before it executes it.

use std::borrow::Cow;

use async_graphql::parser::types::{Directive, OperationDefinition};
use async_graphql::registry::{__DirectiveLocation as Location, MetaDirective, MetaInputValue, Registry};
use async_graphql::{
    ContextDirective, CustomDirective, CustomDirectiveFactory, ID, InputObject, InputType, ServerError,
    ServerResult, Value, Variables,
};

use super::codes::{CountryCode, LanguageCode};
use crate::context::Locale;

/// The directive, for the schema.
pub struct InContext;

/// Who buys for a company.
#[derive(InputObject)]
struct BuyerInput {
    /// The global id of the branch of the company that is bought for; it has no effect, since the shop knows no companies.
    company_location_id: Option<ID>,
    /// What a customer signs in with. It has no effect here: `customer` takes it as an argument, and so do carts.
    customer_access_token: String,
}

/// What a visitor lets be done with what is known of them. It has no effect: the shop follows nobody.
#[derive(InputObject)]
struct VisitorConsent {
    /// Whether visits may be counted.
    analytics: Option<bool>,
    /// Whether advertising may be chosen by visits.
    marketing: Option<bool>,
    /// Whether what they choose may be remembered.
    preferences: Option<bool>,
    /// Whether what is known of them may be sold.
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
            argument("buyer", buyer, "Who buys for a company; it has no effect."),
            argument("country", country, "The country the buyer shops from."),
            argument("language", language, "The language the buyer reads."),
            argument(
                "preferredLocationId",
                location,
                "The global id of the location the buyer would rather buy at; it has no effect.",
            ),
            argument("visitorConsent", consent, "What the visitor lets be done; it has no effect."),
        ];
        registry.add_directive(MetaDirective {
            name: "inContext".to_owned(),
            description: Some(
                "Tells where and in which language the buyer shops; without it, the shop's own country and language \
                 hold."
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

/// The buyer's country and language that an operation is marked with. Its variables have their defaults already.
///
/// # Errors
/// A sentence that names the code that is none.
pub fn locale(operation: &OperationDefinition, variables: &Variables) -> Result<Locale, String> {
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
    let unknown = |kind: &str, value: &Value| format!("@inContext: {value} is no {kind} code");
    if let Some(value) = argument("country").filter(|value| *value != Value::Null) {
        let code =
            <CountryCode as InputType>::parse(Some(value.clone())).map_err(|_| unknown("country", &value))?;
        locale.country = Some(code.0);
    }
    if let Some(value) = argument("language").filter(|value| *value != Value::Null) {
        let code = <LanguageCode as InputType>::parse(Some(value.clone()))
            .map_err(|_| unknown("language", &value))?;
        locale.language = Some(code.0);
    }
    Ok(locale)
}
