-- Messages to other services about what happened.

CREATE TABLE webhook_subscriptions (
    id uuid PRIMARY KEY,
    url text NOT NULL,
    -- Kinds of events: ["order.placed", …]
    topics jsonb NOT NULL,
    -- A GraphQL document that shapes the payload.
    query text,
    -- What messages are signed with.
    secret text NOT NULL,
    -- Of whoever made it or changed it last: nothing is sent that they may not see.
    permissions jsonb NOT NULL,
    status text COLLATE "C" NOT NULL CHECK (status IN ('active', 'paused')),
    -- Since when the oldest message fails.
    failing_since timestamptz,
    paused_at timestamptz,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CHECK ((status = 'paused') = (paused_at IS NOT NULL))
);

CREATE TABLE webhook_deliveries (
    id uuid PRIMARY KEY,
    subscription_id uuid NOT NULL REFERENCES webhook_subscriptions ON DELETE CASCADE,
    -- What it tells of; none is a test. The log may have removed it since.
    event_id uuid,
    topic text COLLATE "C" NOT NULL,
    -- The event's place in the log, which is the order in which messages are sent.
    position bigint,
    -- JSON, once it was made; it is the same at every attempt.
    payload text,
    status text COLLATE "C" NOT NULL CHECK (status IN ('pending', 'delivered', 'failed')),
    attempts integer NOT NULL CHECK (attempts >= 0),
    -- When it may be tried.
    next_attempt_at timestamptz,
    created_at timestamptz NOT NULL,
    delivered_at timestamptz,
    CHECK ((event_id IS NULL) = (position IS NULL)),
    CHECK ((status = 'pending') = (next_attempt_at IS NOT NULL)),
    CHECK ((status = 'delivered') = (delivered_at IS NOT NULL)),
    UNIQUE (subscription_id, event_id)
);
CREATE INDEX webhook_deliveries_pending_idx ON webhook_deliveries (subscription_id, position) WHERE status = 'pending';
CREATE INDEX webhook_deliveries_list_idx ON webhook_deliveries (subscription_id, id);
CREATE INDEX webhook_deliveries_finished_idx ON webhook_deliveries (created_at) WHERE status <> 'pending';

CREATE TABLE webhook_attempts (
    id uuid PRIMARY KEY,
    delivery_id uuid NOT NULL REFERENCES webhook_deliveries ON DELETE CASCADE,
    -- From 1 on.
    number integer NOT NULL CHECK (number > 0),
    at timestamptz NOT NULL,
    duration_ms bigint NOT NULL CHECK (duration_ms >= 0),
    response_status integer,
    -- Why it failed; none is success.
    error text,
    -- The beginning of the answer.
    response_body text,
    UNIQUE (delivery_id, number)
);
