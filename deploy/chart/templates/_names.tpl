{{- define "towpath.name" -}}
{{- if contains "towpath" .Release.Name }}{{ .Release.Name | trunc 63 | trimSuffix "-" }}{{ else }}{{ printf "%s-towpath" .Release.Name | trunc 63 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "towpath.selector" -}}
app.kubernetes.io/name: towpath
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "towpath.labels" -}}
{{ include "towpath.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "towpath.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- $open := dig "admission" "open" false $config -}}
{{- if and (not $open) (empty (dig "admission" "sources" (list) $config)) -}}
{{- fail "config.admission.sources is empty: say who may use the relay (docs/admission.md), or set config.admission.open to true" -}}
{{- end -}}
{{- if and $open (empty (dig "admission" "sources" (list) $config)) -}}
{{- $_ := set $config "admission" (omit $config.admission "sources") -}}
{{- end -}}
{{- if and (empty $config.hostname) (empty $config.publicIp) -}}
{{- fail "config.hostname is empty: write the name or address at which clients reach the relay" -}}
{{- end -}}
{{- if empty $config.hostname }}{{ $_ := unset $config "hostname" }}{{ end -}}
{{- $isHost := eq .Values.network "hostNetwork" -}}
{{- $own := dict "listen" (printf "[::]:%d" (ternary (int .Values.ports.derp) 8443 $isHost)) "http" (printf "[::]:%d" (ternary (int .Values.ports.http) 8080 $isHost)) "derpPort" (int .Values.ports.derp) -}}
{{- $_ := set $own "stun" (printf "[::]:%d" (int .Values.ports.stun)) -}}
{{- if .Values.serviceMonitor.enabled }}{{ $_ := set $own "admin" (dict "listen" "[::]:9090" "tls" true "tokenFile" "/etc/towpath/token/token") }}{{ end -}}
{{- if .Values.keySecretName }}{{ $_ := set $own "keyFile" "/etc/towpath/key/derper.key" }}{{ end -}}
{{- if .Values.tlsSecretName -}}
{{- $_ := set $own "certificate" (dict "mode" "file" "file" "/etc/towpath/tls/tls.crt" "keyFile" "/etc/towpath/tls/tls.key") -}}
{{- end -}}
{{- mergeOverwrite $config $own | toYaml -}}
{{- end }}
