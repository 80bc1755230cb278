"""What can be searched: encoder, dense (FAISS), lexical (BM25), late interaction, fusion, snapshots."""
