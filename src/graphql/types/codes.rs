//! GraphQL enums for the codes of `domain::codes`: countries, languages, currencies.

use crate::domain::codes::{COUNTRIES, CURRENCIES, LANGUAGES};

/// Implements a GraphQL enum whose values come from a table instead of variants. The type must have
/// the functions `values()`, which returns names with descriptions, `parse(name)` and `name(self)`.
macro_rules! table_enum {
    ($name:ident, $doc:expr, $visible:expr) => {
        const _: () = {
            use std::borrow::Cow;

            use async_graphql::parser::types::Field;
            use async_graphql::registry::{Deprecation, MetaEnumValue, MetaType, MetaTypeId, Registry};
            use async_graphql::{
                ContextSelectionSet, InputType, InputValueError, InputValueResult, Name, OutputType,
                Positioned, ServerResult, Value,
            };

            impl $name {
                fn create(registry: &mut Registry, input: bool) -> String {
                    let value = |(name, description): (String, Option<String>)| MetaEnumValue {
                        name,
                        description,
                        deprecation: Deprecation::NoDeprecated,
                        visible: None,
                        inaccessible: false,
                        tags: Vec::new(),
                        directive_invocations: Vec::new(),
                    };
                    let create = |_: &mut Registry| MetaType::Enum {
                        name: stringify!($name).to_owned(),
                        description: Some($doc.trim().to_owned()),
                        enum_values: Self::values().map(|named| (named.0.clone(), value(named))).collect(),
                        visible: $visible,
                        inaccessible: false,
                        tags: Vec::new(),
                        rust_typename: Some(std::any::type_name::<Self>()),
                        directive_invocations: Vec::new(),
                        requires_scopes: Vec::new(),
                    };
                    if input {
                        registry.create_input_type::<Self, _>(MetaTypeId::Enum, create)
                    } else {
                        registry.create_output_type::<Self, _>(MetaTypeId::Enum, create)
                    }
                }
            }

            impl InputType for $name {
                type RawValueType = Self;

                fn type_name() -> Cow<'static, str> {
                    stringify!($name).into()
                }

                fn create_type_info(registry: &mut Registry) -> String {
                    Self::create(registry, true)
                }

                fn parse(value: Option<Value>) -> InputValueResult<Self> {
                    let value = value.unwrap_or_default();
                    let named = match &value {
                        Value::Enum(name) => Self::parse(name),
                        Value::String(text) => Self::parse(text),
                        _ => None,
                    };
                    named.ok_or_else(|| InputValueError::expected_type(value))
                }

                fn to_value(&self) -> Value {
                    Value::Enum(Name::new(self.name()))
                }

                fn as_raw_value(&self) -> Option<&Self> {
                    Some(self)
                }
            }

            impl OutputType for $name {
                fn type_name() -> Cow<'static, str> {
                    stringify!($name).into()
                }

                fn create_type_info(registry: &mut Registry) -> String {
                    Self::create(registry, false)
                }

                async fn resolve(
                    &self,
                    _: &ContextSelectionSet<'_>,
                    _: &Positioned<Field>,
                ) -> ServerResult<Value> {
                    Ok(Value::Enum(Name::new(self.name())))
                }
            }
        };
    };
}
pub(in crate::graphql) use table_enum;

/// Defines a GraphQL enum over a table of codes: hundreds of values without hundreds of variants.
macro_rules! code_enum {
    ($name:ident, $values:expr, $doc:literal) => {
        #[doc = $doc]
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(crate) struct $name(pub &'static str);

        impl $name {
            /// Parses a code; `None` if it is unknown.
            pub(crate) fn parse(code: &str) -> Option<Self> {
                $values.find(|(known, _)| *known == code).map(|(known, _)| Self(known))
            }

            fn values() -> impl Iterator<Item = (String, Option<String>)> {
                $values.map(|(code, name)| (code.to_owned(), Some(format!("{name}."))))
            }

            fn name(self) -> &'static str {
                self.0
            }
        }

        table_enum!($name, $doc, None);
    };
}

code_enum!(CountryCode, COUNTRIES.iter().copied(), "A country or territory, by its ISO 3166-1 alpha-2 code.");
code_enum!(
    LanguageCode,
    LANGUAGES.iter().copied(),
    "A language, by its ISO 639 code, with a region where needed to distinguish written variants."
);
code_enum!(
    CurrencyCode,
    CURRENCIES.iter().map(|&(code, name, _)| (code, name)),
    "A currency, by its ISO 4217 code."
);
