#!/usr/bin/env bash
# publish_executed.sh VERSION [REMOTE]: the tag VERSION-executed, which holds the sources of the
# commit checked out and, beside them, the executed notebooks that git ignores elsewhere.
set -euo pipefail
version=$1 remote=${2:-origin}
index=$(mktemp -u)
export GIT_INDEX_FILE=$index
trap 'rm -f "$index"' EXIT
git read-tree HEAD
git add --force book/executed/*.ipynb
# pages read committed tables as ../results, from where their sources lie
link=$(printf ../results | git hash-object -w --stdin)
git update-index --add --cacheinfo "120000,$link,book/results"
tree=$(git write-tree)
export GIT_AUTHOR_NAME=${GIT_AUTHOR_NAME:-publish} GIT_AUTHOR_EMAIL=${GIT_AUTHOR_EMAIL:-publish@localhost}
export GIT_COMMITTER_NAME=$GIT_AUTHOR_NAME GIT_COMMITTER_EMAIL=$GIT_AUTHOR_EMAIL
commit=$(git commit-tree "$tree" -p HEAD -m "Executed notebooks of $version")
git push --force "$remote" "$commit:refs/tags/$version-executed"
