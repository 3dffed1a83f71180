"""What nodes are made of beside their schemas: pieces that several of them use, or that have a page of their own."""
