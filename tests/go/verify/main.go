// Verifies an export of Onebit's log with golang.org/x/mod/sumdb, the code by which the go command checks its own
// checksum database: notes, tree, tiles and proofs are that code's, the files' names and the openings are read here.
//
//	verify KEY DIR SEED [RECEIPT ...]
//
// KEY is the journal's verifier key, SEED picks the random proofs. Ends with 1 and a line that begins with `REFUSED:`
// when something does not hold.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	height     = 8 // a tile has 2^8 hashes
	width      = 1 << height
	entryBytes = 65
	proofs     = 500
)

func main() {
	if len(os.Args) < 4 {
		fmt.Fprintln(os.Stderr, "usage: verify KEY DIR SEED [RECEIPT ...]")
		os.Exit(2)
	}
	seed, err := strconv.ParseInt(os.Args[3], 10, 64)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	told, err := verify(os.Args[1], os.Args[2], seed, os.Args[4:])
	if err != nil {
		fmt.Printf("REFUSED: %v\n", err)
		os.Exit(1)
	}
	fmt.Println(told)
}

func verify(key, folder string, seed int64, receipts []string) (string, error) {
	verifier, err := note.NewVerifier(key)
	if err != nil {
		return "", err
	}
	signed, err := os.ReadFile(filepath.Join(folder, "checkpoint"))
	if err != nil {
		return "", err
	}
	tree, err := openCheckpoint(signed, verifier)
	if err != nil {
		return "", err
	}
	log := &export{folder: folder, tree: tree}
	if err := log.readBundles(); err != nil {
		return "", err
	}
	root, err := tlog.TreeHash(tree.N, log)
	if err != nil {
		return "", err
	}
	if root != tree.Hash {
		return "", fmt.Errorf("the entries lead to root %v, and %v was signed", root, tree.Hash)
	}
	if err := log.compareTiles(); err != nil {
		return "", err
	}
	if err := log.prove(rand.New(rand.NewSource(seed))); err != nil {
		return "", err
	}
	for _, file := range receipts {
		if err := log.checkReceipt(file, verifier); err != nil {
			return "", fmt.Errorf("%s: %v", file, err)
		}
	}
	return fmt.Sprintf("the journal is whole: %d entries, root %v; %d proofs of each kind and %d receipts hold",
		tree.N, root, proofs, len(receipts)), nil
}

// openCheckpoint gives the tree that the verifier's key signed.
func openCheckpoint(signed []byte, verifier note.Verifier) (tlog.Tree, error) {
	opened, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[3] != "" || lines[0] != verifier.Name() {
		return tlog.Tree{}, fmt.Errorf("this is not a checkpoint of %s", verifier.Name())
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || strconv.FormatInt(size, 10) != lines[1] || size < 0 {
		return tlog.Tree{}, fmt.Errorf("the checkpoint has no size")
	}
	root, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: root}, err
}

// export is an export in a folder, with all hashes that follow from its entries.
type export struct {
	folder  string
	tree    tlog.Tree
	entries [][]byte
	hashes  []tlog.Hash
}

// ReadHashes gives hashes that were derived here, for x/mod's own functions.
func (log *export) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	found := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		if index < 0 || index >= int64(len(log.hashes)) {
			return nil, fmt.Errorf("there is no hash %d", index)
		}
		found[i] = log.hashes[index]
	}
	return found, nil
}

// path is where a tile, a bundle (level -1) or a file of openings lies: x/mod's own name without the height.
func path(tile tlog.Tile, folder string) string {
	tile.H = height
	name := strings.TrimPrefix(tile.Path(), fmt.Sprintf("tile/%d/", height))
	if tile.L == -1 {
		return filepath.Join(folder, strings.TrimPrefix(name, "data/"))
	}
	return filepath.Join(folder, name)
}

// readBundles reads entries and openings in order and derives all hashes.
func (log *export) readBundles() error {
	_, err := os.Stat(filepath.Join(log.folder, "openings"))
	opened := err == nil
	for first := int64(0); first < log.tree.N; first += width {
		count := log.tree.N - first
		if count > width {
			count = width
		}
		bundle := tlog.Tile{L: -1, N: first / width, W: int(count)}
		data, err := os.ReadFile(filepath.Join(log.folder, path(bundle, "tile/entries")))
		if err != nil {
			return err
		}
		for ; count > 0; count-- {
			if len(data) < 2+entryBytes || binary.BigEndian.Uint16(data) != entryBytes || data[2] != 1 {
				return fmt.Errorf("entry %d is not in its form", len(log.entries))
			}
			entry := data[2 : 2+entryBytes]
			data = data[2+entryBytes:]
			hashes, err := tlog.StoredHashes(int64(len(log.entries)), entry, log)
			if err != nil {
				return err
			}
			log.hashes = append(log.hashes, hashes...)
			log.entries = append(log.entries, entry)
		}
		if len(data) > 0 {
			return fmt.Errorf("bundle %d goes on after its last entry", bundle.N)
		}
		if opened {
			if err := log.readOpenings(path(bundle, "openings"), first); err != nil {
				return err
			}
		}
	}
	return nil
}

// readOpenings compares each opening with what its entry committed to.
func (log *export) readOpenings(name string, first int64) error {
	data, err := os.ReadFile(filepath.Join(log.folder, name))
	if err != nil {
		return err
	}
	for index := first; index < int64(len(log.entries)); index++ {
		if len(data) == 0 {
			return fmt.Errorf("%s ends before entry %d", name, index)
		}
		count := data[0]
		data = data[1:]
		for ; count > 0; count-- {
			if len(data) < 4 || uint64(len(data)-4) < uint64(binary.BigEndian.Uint32(data)) {
				return fmt.Errorf("%s is cut off in entry %d", name, index)
			}
			length := binary.BigEndian.Uint32(data)
			opening := data[4 : 4+length]
			data = data[4+length:]
			if !opens(log.entries[index], opening) {
				return fmt.Errorf("entry %d: an opening is not that of this entry", index)
			}
		}
	}
	if len(data) > 0 {
		return fmt.Errorf("%s goes on after its last opening", name)
	}
	return nil
}

func opens(entry, opening []byte) bool {
	if len(opening) == 0 || opening[0] < 1 || opening[0] > 2 {
		return false
	}
	domain := [...]string{"onebit/commitment/v1/partner\x00", "onebit/commitment/v1/holder\x00"}[opening[0]-1]
	commitment := sha256.Sum256(append([]byte(domain), opening[1:]...))
	at := 1 + 32*int(opening[0]-1)
	return bytes.Equal(entry[at:at+32], commitment[:])
}

// compareTiles compares every tile with what x/mod derives, and sees that there is no file beside them.
func (log *export) compareTiles() error {
	due := map[string]bool{"checkpoint": true, "key": true}
	for _, tile := range tlog.NewTiles(height, 0, log.tree.N) {
		// x/mod names every width that a tile had on the way; an export has the last one.
		if tile.W < width && int64(tile.W) != log.tree.N>>(height*tile.L)-width*tile.N {
			continue
		}
		name := filepath.Join("tile", path(tile, ""))
		due[name] = true
		derived, err := tlog.ReadTileData(tile, log)
		if err != nil {
			return err
		}
		given, err := os.ReadFile(filepath.Join(log.folder, name))
		if err != nil {
			return err
		}
		if !bytes.Equal(given, derived) {
			return fmt.Errorf("%s is not what follows from the entries", name)
		}
		if tile.L == 0 {
			tile.L = -1
			due[path(tile, "tile/entries")], due[path(tile, "openings")] = true, true
		}
	}
	return filepath.Walk(log.folder, func(name string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		if name, err = filepath.Rel(log.folder, name); err == nil && !due[name] {
			err = fmt.Errorf("%s does not belong to the export", name)
		}
		return err
	})
}

// tiles reads tiles of the export for x/mod's reader, which proves each against the signed root.
type tiles struct{ folder string }

func (tiles) Height() int { return height }

func (from tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(wanted))
	for i, tile := range wanted {
		found, err := os.ReadFile(filepath.Join(from.folder, "tile", path(tile, "")))
		if err != nil {
			return nil, err
		}
		data[i] = found
	}
	return data, nil
}

func (tiles) SaveTiles([]tlog.Tile, [][]byte) {}

// prove makes random proofs from the export's own tiles and checks them against the signed root.
func (log *export) prove(random *rand.Rand) error {
	reader, tree := tlog.TileHashReader(log.tree, tiles{log.folder}), log.tree
	for i := 0; i < proofs && tree.N > 0; i++ {
		index := random.Int63n(tree.N)
		record, err := tlog.ProveRecord(tree.N, index, reader)
		if err != nil {
			return err
		}
		if err := tlog.CheckRecord(record, tree.N, tree.Hash, index, tlog.RecordHash(log.entries[index])); err != nil {
			return fmt.Errorf("entry %d: %v", index, err)
		}
		older := 1 + random.Int63n(tree.N)
		root, err := tlog.TreeHash(older, log)
		if err != nil {
			return err
		}
		grown, err := tlog.ProveTree(tree.N, older, reader)
		if err != nil {
			return err
		}
		if err := tlog.CheckTree(grown, tree.N, tree.Hash, older, root); err != nil {
			return fmt.Errorf("from %d entries: %v", older, err)
		}
	}
	return nil
}

// checkReceipt checks a C2SP tlog-proof, and that its entry and its checkpoint are of the journal.
func (log *export) checkReceipt(file string, verifier note.Verifier) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	parts := strings.SplitN(string(data), "\n\n", 2)
	lines := strings.Split(parts[0], "\n")
	if len(parts) != 2 || len(lines) < 3 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return fmt.Errorf("this is no receipt")
	}
	extra, err := base64.StdEncoding.Strict().DecodeString(strings.TrimPrefix(lines[1], "extra "))
	if err != nil || len(extra) < entryBytes {
		return fmt.Errorf("the receipt has no entry")
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[2], "index "), 10, 64)
	if err != nil {
		return err
	}
	var proof tlog.RecordProof
	for _, line := range lines[3:] {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return err
		}
		proof = append(proof, hash)
	}
	tree, err := openCheckpoint([]byte(parts[1]), verifier)
	if err != nil {
		return err
	}
	entry, opening := extra[:entryBytes], extra[entryBytes:]
	if index < 0 || index >= tree.N || tree.N > log.tree.N {
		return fmt.Errorf("entry %d of %d lies beyond the journal", index, tree.N)
	}
	if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(entry)); err != nil {
		return err
	}
	if len(opening) > 0 && !opens(entry, opening) {
		return fmt.Errorf("its opening is not that of its entry")
	}
	root, err := tlog.TreeHash(tree.N, log)
	if err != nil || root != tree.Hash || !bytes.Equal(entry, log.entries[index]) {
		return fmt.Errorf("it is of another journal than the export (%v)", err)
	}
	return nil
}
