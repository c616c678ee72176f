DROP TABLE media_renditions, media;
