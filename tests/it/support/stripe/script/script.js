// A double of Stripe's script with the part of it that the pages use: the Payment Element, and the
// confirmation of a payment. Written from https://docs.stripe.com/js; the numbers of cards are those of
// https://docs.stripe.com/testing.
'use strict';

(() => {
  const scripts = 'https://js.stripe.com';
  const api = 'https://api.stripe.com';
  const methods = {
    4242424242424242: 'pm_card_visa',
    4000000000000002: 'pm_card_chargeDeclined',
    4000002500003155: 'pm_card_authenticationRequired',
  };

  /** The form for the card is in a frame of Stripe's own: the shop never sees the number. */
  function createPaymentElement(elements) {
    const frame = document.createElement('iframe');
    frame.src = `${scripts}/v3/elements.html`;
    frame.title = 'Secure payment input frame';
    Object.assign(frame.style, { width: '100%', height: '96px', border: '0', colorScheme: 'light' });
    window.addEventListener('message', ({ origin, source, data }) => {
      if (origin === scripts && source === frame.contentWindow) elements.number = data.number;
    });
    return { mount: (selector) => document.querySelector(selector).append(frame) };
  }

  function withOutcome(url, { id, client_secret: secret, status }) {
    const target = new URL(url);
    target.searchParams.set('payment_intent', id);
    target.searchParams.set('payment_intent_client_secret', secret);
    target.searchParams.set('redirect_status', status);
    return target;
  }

  window.Stripe = (key) => ({
    elements({ clientSecret }) {
      const elements = { clientSecret, number: '' };
      elements.create = () => createPaymentElement(elements);
      return elements;
    },
    async confirmPayment({ elements, confirmParams }) {
      const method = methods[elements.number.replaceAll(' ', '')];
      if (!method) return { error: { type: 'validation_error', message: 'Your card number is incomplete.' } };
      const id = elements.clientSecret.split('_secret_')[0];
      const form = {
        key, client_secret: elements.clientSecret, payment_method: method, return_url: confirmParams.return_url,
      };
      const url = `${api}/v1/payment_intents/${id}/confirm`;
      const response = await fetch(url, { method: 'POST', body: new URLSearchParams(form) });
      const intent = await response.json();
      if (!response.ok) return { error: intent.error };
      location.assign(intent.next_action?.redirect_to_url.url ?? withOutcome(confirmParams.return_url, intent));
      // It has no result: the browser leaves the page.
      return new Promise(() => {});
    },
  });
})();
