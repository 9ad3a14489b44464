package dsl

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestReadme checks the documents that a newcomer sees first.
func TestReadme(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	blocks := yamlBlock.FindAllStringSubmatch(string(page), -1)
	require.NotEmpty(t, blocks)
	for _, block := range blocks {
		docs, found := CheckFile("README.md", block[1], checked)
		require.NoError(t, found.Err())
		require.NotEmpty(t, docs)
	}
}
