package deploy

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"
)

// compose is the part of docker-compose.yml that its tests look at.
type compose struct {
	Services map[string]service
	Volumes  map[string]any
}

type service struct {
	Image       string
	Build       struct{ Context, Dockerfile string }
	Entrypoint  []string
	Command     []string
	Environment map[string]string
	Volumes     []string
	DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
}

func readCompose(t *testing.T) compose {
	t.Helper()
	var c compose
	require.NoError(t, yaml.Load([]byte(read(t, "../docker-compose.yml")), &c))
	require.NotEmpty(t, c.Services)
	return c
}

func TestCompose_HasEveryPart(t *testing.T) {
	t.Parallel()
	services := readCompose(t).Services
	for _, name := range []string{"postgres", "temporal", "mosquitto", "vault", "api", "gateway", "worker", "fleet"} {
		require.Contains(t, services, name)
	}
}

func TestCompose_FilesExist(t *testing.T) {
	t.Parallel()
	c := readCompose(t)
	for name, s := range c.Services {
		for _, volume := range s.Volumes {
			source, _, _ := strings.Cut(volume, ":")
			if strings.HasPrefix(source, "./") {
				require.FileExists(t, filepath.Join("..", source), name)
			} else {
				require.Contains(t, c.Volumes, source, name)
			}
		}
		if s.Build.Dockerfile != "" {
			require.FileExists(t, filepath.Join("..", s.Build.Dockerfile), name)
		}
	}
}

func TestCompose_WaitsForWhatExists(t *testing.T) {
	t.Parallel()
	services := readCompose(t).Services
	for name, s := range services {
		for needed := range s.DependsOn {
			require.Contains(t, services, needed, name)
		}
	}
}

// mounted gives the place in the container of a file of this repository, or of
// a volume.
func mounted(s service, place string) bool {
	return slices.ContainsFunc(s.Volumes, func(volume string) bool {
		parts := strings.Split(volume, ":")
		return strings.HasPrefix(place, parts[1])
	})
}

func TestCompose_PathsInVariablesAreMounted(t *testing.T) {
	t.Parallel()
	for name, s := range readCompose(t).Services {
		for variable, value := range s.Environment {
			if strings.HasPrefix(value, "/") {
				require.True(t, mounted(s, value), "%s: %s is %s", name, variable, value)
			}
		}
	}
}

var copied = regexp.MustCompile(`(?m)^COPY ([^-\n].*) \S+$`)

func TestDockerfile_CopiesWhatExists(t *testing.T) {
	t.Parallel()
	matches := copied.FindAllStringSubmatch(read(t, "Dockerfile"), -1)
	require.NotEmpty(t, matches)
	for _, m := range matches {
		for source := range strings.FieldsSeq(m[1]) {
			_, err := os.Stat(filepath.Join("..", source))
			require.NoError(t, err)
		}
	}
}

// buildLean builds the program of the image.
func buildLean(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "deviceops")
	run(t, nil, "go", "build", "-tags", "lean", "-o", program, "../cmd/deviceops")
	return program
}

// Every command, flag and variable that the services use is one of the program.
func TestCompose_ProgramKnowsCommandsAndFlags(t *testing.T) {
	t.Parallel()
	program := buildLean(t)
	for name, s := range readCompose(t).Services {
		if s.Image != "deviceops" {
			continue
		}
		help := run(t, nil, program, append(commandOf(s), "--help")...)
		require.NotContains(t, help, "unknown command", name)
		for _, arg := range s.Command {
			if strings.HasPrefix(arg, "--") {
				require.Regexp(t, arg+`\b`, help, name)
			}
		}
		requireFlags(t, help, s)
	}
}

// commandOf is what comes before the arguments: apply, or devices import.
func commandOf(s service) []string {
	end := slices.IndexFunc(s.Command, func(arg string) bool {
		return strings.HasPrefix(arg, "-") || strings.HasPrefix(arg, "/")
	})
	if end < 0 {
		end = len(s.Command)
	}
	return s.Command[:end:end]
}

// requireFlags checks that DEVICEOPS_X stands for a flag --x.
func requireFlags(t *testing.T, help string, s service) {
	t.Helper()
	for _, variable := range slices.Sorted(maps.Keys(s.Environment)) {
		if flag, ok := strings.CutPrefix(variable, "DEVICEOPS_"); ok {
			flag = "--" + strings.ReplaceAll(strings.ToLower(flag), "_", "-")
			require.Regexp(t, flag+`\b`, help, variable)
		}
	}
}
