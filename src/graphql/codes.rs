//! Enums whose values are the codes of `domain::codes`: countries, languages, currencies.

use std::borrow::Cow;

use async_graphql::indexmap::IndexMap;
use async_graphql::parser::types::Field;
use async_graphql::registry::{MetaEnumValue, MetaType, MetaTypeId, Registry};
use async_graphql::{
    ContextSelectionSet, InputType, InputValueError, InputValueResult, Name, OutputType, Positioned,
    ServerResult, Value,
};

use crate::domain::codes::{COUNTRIES, CURRENCIES, LANGUAGES};

/// An enum over a table of codes: hundreds of values without hundreds of variants.
macro_rules! code_enum {
    ($name:ident, $values:expr, $doc:literal) => {
        #[doc = $doc]
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub struct $name(pub &'static str);

        impl $name {
            /// The code, if it is one.
            pub fn parse(code: &str) -> Option<Self> {
                $values.find(|(known, _)| *known == code).map(|(known, _)| Self(known))
            }

            fn create(registry: &mut Registry, input: bool) -> String {
                let values: IndexMap<String, MetaEnumValue> =
                    $values.map(|(code, name)| (code.to_owned(), enum_value(code, name))).collect();
                let create = |_: &mut Registry| MetaType::Enum {
                    name: stringify!($name).to_owned(),
                    description: Some($doc.trim().to_owned()),
                    enum_values: values.clone(),
                    visible: None,
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
                let code = match &value {
                    Value::Enum(name) => Self::parse(name),
                    Value::String(text) => Self::parse(text),
                    _ => None,
                };
                code.ok_or_else(|| InputValueError::expected_type(value))
            }

            fn to_value(&self) -> Value {
                Value::Enum(Name::new(self.0))
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
                Ok(Value::Enum(Name::new(self.0)))
            }
        }
    };
}

code_enum!(CountryCode, COUNTRIES.iter().copied(), "A country or territory, by its ISO 3166-1 alpha-2 code.");
code_enum!(
    LanguageCode,
    LANGUAGES.iter().copied(),
    "A language, by its ISO 639-1 code, with a region where writing differs."
);
code_enum!(
    CurrencyCode,
    CURRENCIES.iter().map(|&(code, name, _)| (code, name)),
    "A currency, by its ISO 4217 code."
);

fn enum_value(code: &str, name: &str) -> MetaEnumValue {
    MetaEnumValue {
        name: code.to_owned(),
        description: Some(format!("{name}.")),
        deprecation: async_graphql::registry::Deprecation::NoDeprecated,
        visible: None,
        inaccessible: false,
        tags: Vec::new(),
        directive_invocations: Vec::new(),
    }
}
