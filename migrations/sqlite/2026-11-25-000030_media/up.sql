-- Pictures and videos that are uploaded for products or fetched for them, and the files that are made of them.

-- A picture becomes one of product_images when it is ready, under the same id, and is shown and ordered as any other then. This row
-- says where it came from and how far it is.
CREATE TABLE media (
    id blob PRIMARY KEY,
    product_id blob NOT NULL REFERENCES products (id) ON DELETE CASCADE,
    kind text NOT NULL CHECK (kind IN ('image', 'video')),
    status text NOT NULL CHECK (status IN ('uploaded', 'processing', 'ready', 'failed')),
    -- Its place among the product's images and videos.
    position integer NOT NULL,
    -- Where it is fetched from; none when it was uploaded.
    source_url text,
    alt text,
    -- What is served as the thing itself, once it is ready.
    hash text,
    format text,
    bytes integer CHECK (bytes >= 0),
    width integer CHECK (width >= 0),
    height integer CHECK (height >= 0),
    -- The path on this server of the picture that stands for a video.
    poster_url text,
    -- Why it failed, or what was left undone.
    note text,
    created_at integer NOT NULL,
    updated_at integer NOT NULL,
    CHECK (status <> 'ready' OR hash IS NOT NULL),
    CHECK ((hash IS NULL) = (format IS NULL)),
    CHECK (status <> 'failed' OR note IS NOT NULL)
) STRICT;
CREATE INDEX media_product_id_idx ON media (product_id, position);

-- The sizes and formats that a picture is kept in besides itself. They are of its content: whoever shows the same picture shows these.
CREATE TABLE media_renditions (
    source_hash text NOT NULL,
    format text NOT NULL,
    width integer NOT NULL CHECK (width > 0),
    height integer NOT NULL CHECK (height > 0),
    hash text NOT NULL,
    bytes integer NOT NULL CHECK (bytes > 0),
    PRIMARY KEY (source_hash, format, width)
) STRICT, WITHOUT ROWID;
