-- Pictures and videos that are uploaded for products or fetched for them, and the files that are made of them.

-- A picture becomes one of product_images when it is ready, under the same id, and is shown and ordered as any other then. This row
-- says where it came from and how far it is.
CREATE TABLE media (
    id uuid PRIMARY KEY,
    product_id uuid NOT NULL REFERENCES products ON DELETE CASCADE,
    kind text COLLATE "C" NOT NULL CHECK (kind IN ('image', 'video')),
    status text COLLATE "C" NOT NULL CHECK (status IN ('uploaded', 'processing', 'ready', 'failed')),
    -- Its place among the product's images and videos.
    position bigint NOT NULL,
    -- Where it is fetched from; none when it was uploaded.
    source_url text,
    alt text,
    -- What is served as the thing itself, once it is ready.
    hash text COLLATE "C",
    format text COLLATE "C",
    bytes bigint CHECK (bytes >= 0),
    width bigint CHECK (width >= 0),
    height bigint CHECK (height >= 0),
    -- The path on this server of the picture that stands for a video.
    poster_url text,
    -- Why it failed, or what was left undone.
    note text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CHECK (status <> 'ready' OR hash IS NOT NULL),
    CHECK ((hash IS NULL) = (format IS NULL)),
    CHECK (status <> 'failed' OR note IS NOT NULL)
);
CREATE INDEX media_product_id_idx ON media (product_id, position);

-- The sizes and formats that a picture is kept in besides itself. They are of its content: whoever shows the same picture shows these.
CREATE TABLE media_renditions (
    source_hash text COLLATE "C" NOT NULL,
    format text COLLATE "C" NOT NULL,
    width bigint NOT NULL CHECK (width > 0),
    height bigint NOT NULL CHECK (height > 0),
    hash text COLLATE "C" NOT NULL,
    bytes bigint NOT NULL CHECK (bytes > 0),
    PRIMARY KEY (source_hash, format, width)
);
