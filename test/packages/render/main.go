// render FOLDER VALUES lints the Helm chart in FOLDER, renders it with the file VALUES, and prints the YAML. Each resource is
// decoded strictly as its type of the Kubernetes API: an unknown field or a wrong type is an error. It does the work of helm and
// kubeconform and builds in a minute; the schemas of kubeconform are on a website.
package main

import (
	"fmt"
	"os"
	"sort"
	"strings"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	"helm.sh/helm/v3/pkg/releaseutil"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
)

func main() {
	if err := render(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}

func render(folder, valuesFile string) error {
	chart, err := loader.Load(folder)
	if err != nil {
		return err
	}
	if err := chart.Validate(); err != nil {
		return err
	}
	values, err := chartutil.ReadValuesFile(valuesFile)
	if err != nil {
		return err
	}
	linter := lint.All(folder, values, "default", false)
	for _, message := range linter.Messages {
		if message.Severity > support.InfoSev {
			fmt.Fprintln(os.Stderr, message)
		}
	}
	if linter.HighestSeverity >= support.ErrorSev {
		return fmt.Errorf("lint: %d messages", len(linter.Messages))
	}
	capabilities := chartutil.DefaultCapabilities.Copy()
	capabilities.KubeVersion = chartutil.KubeVersion{Version: "v1.34.0", Major: "1", Minor: "34"}
	release := chartutil.ReleaseOptions{Name: "towpath", Namespace: "default", Revision: 1, IsInstall: true}
	all, err := chartutil.ToRenderValues(chart, values, release, capabilities)
	if err != nil {
		return err
	}
	files, err := engine.Render(chart, all)
	if err != nil {
		return err
	}
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	sort.Strings(names)
	decoder := strictDecoder()
	for _, name := range names {
		if strings.HasSuffix(name, "NOTES.txt") {
			continue
		}
		for _, text := range releaseutil.SplitManifests(files[name]) {
			if strings.TrimSpace(text) == "" {
				continue
			}
			_, _, err := decoder.Decode([]byte(text), nil, nil)
			// A ServiceMonitor belongs to the Prometheus operator, whose types are not here.
			if err != nil && !runtime.IsNotRegisteredError(err) {
				return fmt.Errorf("%s: %w\n%s", name, err, text)
			}
			fmt.Printf("---\n# Source: %s\n%s\n", name, text)
		}
	}
	return nil
}

func strictDecoder() runtime.Decoder {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{appsv1.AddToScheme, corev1.AddToScheme, policyv1.AddToScheme} {
		if err := add(scheme); err != nil {
			panic(err)
		}
	}
	return json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{Yaml: true, Strict: true})
}
