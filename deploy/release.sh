#!/usr/bin/env bash
# Makes a release in dist/, for make release:
#
#   deploy/release.sh VERSION          binaries, checksums, bills of materials, notes
#   deploy/release.sh notes VERSION    the notes alone, from a changelog on standard input
#
# What is released is the last commit, never the working tree. Every binary is
# built twice, in two directories and with two caches, and has to come out the same.
set -euo pipefail

platforms="linux/amd64 linux/arm64 darwin/amd64 darwin/arm64"
go=${GO:-go}

fail() { echo "release: $*" >&2; exit 1; }

is_release() { [[ $1 =~ ^v[0-9]+\.[0-9]+\.[0-9]+(-(alpha|beta|rc)\.?[0-9]+)?$ ]]; }

# notes prints the changelog's section of a version. What is no release, as git
# describe names it, has what is not released yet.
notes() {
	local section=${1#v} text
	is_release "$1" || section=Unreleased
	text=$(awk -v section="$section" '
		/^## / { inside = ($2 == section || $2 == "v" section); next }
		inside && (NF || seen) { seen = 1; print }')
	[ -n "$text" ] || fail "CHANGELOG.md has no section \"## $section\" with lines in it: name the changes of $1 there before you release it"
	echo "$text"
}

check_version() {
	[[ $1 =~ ^[A-Za-z0-9][A-Za-z0-9.+-]*$ ]] || fail "VERSION is \"$1\": expected something like v1.2.3"
	local tagged
	tagged=$(git rev-parse -q --verify "refs/tags/$1^{commit}" || true)
	[ -z "$tagged" ] || [ "$tagged" = "$commit" ] || fail "the tag $1 is commit $tagged, and the last commit is $commit: check out the tag"
	[ -z "$(git status --porcelain)" ] || echo "release: changes of the working tree are not in it, it is commit $commit" >&2
}

name() { echo "gateway-$1-${2/\//-}"; }

# build VERSION SOURCES CACHE OUT builds for every platform. Nothing of the
# environment that changes a binary gets in.
build() (
	cd "$2"
	for platform in $platforms; do
		env -u GOEXPERIMENT -u GOFIPS140 GOFLAGS= GOWORK=off GOCACHE="$3" CGO_ENABLED=0 \
			GOOS="${platform%/*}" GOARCH="${platform#*/}" GOAMD64=v1 GOARM64=v8.0 \
			"$go" build -trimpath -buildvcs=false -ldflags "-X main.version=$1 -X main.commit=$commit" \
			-o "$4/$(name "$1" "$platform")" ./cmd/gateway
	done
)

# sources DIRECTORY puts the commit there.
sources() {
	mkdir -p "$1"
	git archive "$commit" | tar -x -C "$1"
}

same() {
	local platform file
	for platform in $platforms; do
		file=$(name "$1" "$platform")
		cmp "$2/$file" "$3/$file" || fail "$file came out differently the second time: it is not reproducible"
	done
}

bills() {
	local platform file
	for platform in $platforms; do
		file=$(name "$1" "$platform")
		(cd "$work/one" && "$go" run ./deploy/sbom -version "$1" "$dist/$file") >"$dist/$file.cdx.json"
	done
}

release() {
	local version=$1
	cd "$(git rev-parse --show-toplevel)"
	commit=$(git rev-parse HEAD)
	check_version "$version"
	dist=$PWD/dist
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	sources "$work/one"
	sources "$work/another/directory"
	rm -rf dist
	mkdir dist
	{
		echo "# $version"
		echo
		notes "$version" <"$work/one/CHANGELOG.md"
		echo
		echo "Commit $commit, built with $("$go" env GOVERSION)."
	} >dist/RELEASE_NOTES.md
	build "$version" "$work/one" "$work/cache1" "$dist"
	build "$version" "$work/another/directory" "$work/cache2" "$work/again"
	same "$version" "$dist" "$work/again"
	bills "$version"
	cp "$work/one/LICENSE" dist/
	(cd dist && sha256sum -- * >"$work/sums" && mv "$work/sums" SHA256SUMS)
	echo "release: $version of $commit, each binary built twice with the same result:"
	cat dist/SHA256SUMS
}

case ${1:-} in
notes) notes "${2:?VERSION is missing}" ;;
"") fail "VERSION is missing" ;;
*) release "$1" ;;
esac
