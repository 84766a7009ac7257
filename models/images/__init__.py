"""Images in the DSL, as `kw.images`: warps, colour, random augmentation, filters, and their statistics."""
