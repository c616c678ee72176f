//! What is true of the payment methods that customers save with a provider. A provider that saves
//! none says so.

use mercato::domain::ids::CustomerId;
use mercato::integrations::payments::{Charge, ChargedCustomer, PaymentVault, ProviderError};

use super::rigs::Rig;
use super::{CLOSED_URL, IMPATIENT, new_charge, pay, soon};

/// The token of a card that can be saved.
const CARD: &str = "pm_card_visa";

/// The vault of a provider that has one. All others are done with the test.
fn vault_of<R: Rig>(rig: &R) -> Option<&dyn PaymentVault> {
    let vault = rig.provider().vault();
    assert_eq!(vault.is_some(), R::SAVES_METHODS);
    vault
}

/// Pays as a new customer, who saves the card. Returns the ids of the customer and of the card.
async fn save<R: Rig>(rig: &R, vault: &dyn PaymentVault) -> (String, String) {
    let customer = vault.create_customer(CustomerId::generate()).await.unwrap();
    assert_eq!(vault.methods(&customer).await.unwrap(), Some(Vec::new()));
    let mut charge = new_charge(CARD, 1_250, "EUR");
    charge.customer = Some(ChargedCustomer { reference: customer.clone(), is_saving: true });
    assert_eq!(rig.provider().authorize(&charge).await.unwrap().pending, None);
    let saved = vault.methods(&customer).await.unwrap().unwrap();
    assert_eq!(saved.len(), 1, "{saved:?}");
    assert_eq!((saved[0].last_digits.len(), saved[0].brand.is_empty()), (4, false));
    (customer, saved[0].reference.clone())
}

rule!(a_saved_method_is_charged_together_with_its_customer_only);
async fn a_saved_method_is_charged_together_with_its_customer_only<R: Rig>(rig: R) {
    let Some(vault) = vault_of(&rig) else { return };
    let (customer, method) = save(&rig, vault).await;
    let (other, _) = save(&rig, vault).await;

    let mut charge = new_charge(&method, 1_250, "EUR");
    charge.customer = Some(ChargedCustomer { reference: customer.clone(), is_saving: false });
    let paid = pay_at_once(&rig, &charge).await;
    assert_eq!(paid, (1_250, 1));
    assert_eq!(vault.methods(&customer).await.unwrap().unwrap().len(), 1, "it is not saved again");

    for stranger in [None, Some(ChargedCustomer { reference: other.clone(), is_saving: false })] {
        let mut charge = new_charge(&method, 1_250, "EUR");
        charge.customer = stranger;
        let refused = rig.provider().authorize(&charge).await.unwrap_err();
        assert!(matches!(refused, ProviderError::Refused(_)), "{refused:?}");
        let text = format!("{refused} {refused:?}");
        assert!(![customer.as_str(), &method, &other].iter().any(|id| text.contains(id)), "{text}");
        assert_eq!(rig.books(&charge).await, (0, 0));
    }
}

/// Charges a method that needs no step of the buyer. Returns what the books say.
async fn pay_at_once<R: Rig>(rig: &R, charge: &Charge) -> (i64, usize) {
    let state = rig.provider().authorize(charge).await.unwrap();
    assert_eq!(state.pending, None);
    rig.books(charge).await
}

rule!(a_method_is_saved_only_if_its_customer_agrees);
async fn a_method_is_saved_only_if_its_customer_agrees<R: Rig>(rig: R) {
    let Some(vault) = vault_of(&rig) else { return };
    let customer = vault.create_customer(CustomerId::generate()).await.unwrap();
    let mut charge = new_charge(CARD, 1_250, "EUR");
    charge.customer = Some(ChargedCustomer { reference: customer.clone(), is_saving: false });
    pay_at_once(&rig, &charge).await;
    pay(&rig, new_charge(R::TOKEN, 1_250, "EUR")).await;
    assert_eq!(vault.methods(&customer).await.unwrap(), Some(Vec::new()));
}

rule!(removed_methods_and_customers_are_gone_however_often_they_are_removed);
async fn removed_methods_and_customers_are_gone_however_often_they_are_removed<R: Rig>(rig: R) {
    let Some(vault) = vault_of(&rig) else { return };
    let (customer, method) = save(&rig, vault).await;
    for _ in 0..2 {
        vault.remove(&method).await.unwrap();
        assert_eq!(vault.methods(&customer).await.unwrap(), Some(Vec::new()));
    }
    let mut charge = new_charge(&method, 1_250, "EUR");
    charge.customer = Some(ChargedCustomer { reference: customer.clone(), is_saving: false });
    assert!(rig.provider().authorize(&charge).await.is_err());

    let (customer, method) = save(&rig, vault).await;
    for _ in 0..2 {
        vault.delete_customer(&customer).await.unwrap();
        assert_eq!(vault.methods(&customer).await.unwrap(), None);
    }
    vault.remove(&method).await.unwrap();
}

rule!(a_vault_that_can_not_be_reached_is_an_error_without_secrets);
async fn a_vault_that_can_not_be_reached_is_an_error_without_secrets<R: Rig>(rig: R) {
    if vault_of(&rig).is_none() {
        return;
    }
    let closed = rig.connect(CLOSED_URL, IMPATIENT).unwrap();
    for provider in [closed, rig.with_wrong_key().unwrap()] {
        let vault = provider.vault().unwrap();
        let mut errors = vec![
            soon(vault.create_customer(CustomerId::generate())).await.map(drop).unwrap_err(),
            soon(vault.delete_customer("cus_1")).await.unwrap_err(),
            soon(vault.set_up("cus_1")).await.map(drop).unwrap_err(),
            soon(vault.methods("cus_1")).await.map(drop).unwrap_err(),
        ];
        errors.push(soon(vault.remove("pm_1")).await.unwrap_err());
        for error in errors {
            assert!(matches!(error, ProviderError::Failed(_)), "{error:?}");
            let text = format!("{error} {error:?}");
            let hidden = rig.secrets().into_iter().chain(["cus_1".to_owned(), "://".to_owned()]);
            assert!(!hidden.into_iter().any(|secret| text.contains(&secret)), "{text}");
        }
    }
}
