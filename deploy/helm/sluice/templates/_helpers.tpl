{{- define "sluice.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains (default .Chart.Name .Values.nameOverride) .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (default .Chart.Name .Values.nameOverride) | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "sluice.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "sluice.labels" -}}
{{ include "sluice.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "sluice.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}{{ default (include "sluice.fullname" .) .Values.serviceAccount.name }}
{{- else -}}{{ default "default" .Values.serviceAccount.name }}{{- end -}}
{{- end -}}

{{- define "sluice.configMap" -}}
{{ default (include "sluice.fullname" .) .Values.existingConfigMap }}
{{- end -}}

{{- /* sluice.toml: what the chart sets, and what the values say over it. JSON's strings, numbers and lists are TOML's. */ -}}
{{- define "sluice.toml" -}}
{{- $telemetry := dict "host" "0.0.0.0" "port" 9464 "log_style" "json" -}}
{{- $folders := list -}}
{{- if .Values.detectorConfigMaps -}}{{- $folders = list "/etc/sluice/detectors" -}}{{- end -}}
{{- $base := dict "telemetry" $telemetry "consume" (dict "drain_timeout_ms" 20000) -}}
{{- if $folders -}}{{- $_ := set $base "detect" (dict "folders" $folders) -}}{{- end -}}
{{- range $section, $table := mergeOverwrite $base (deepCopy .Values.config) }}
[{{ $section }}]
{{- range $key, $value := $table }}
{{- if kindIs "map" $value }}
{{ $key }} = { {{- range $i, $name := keys $value | sortAlpha }}{{ if $i }}, {{ end }}{{ $name | toJson }} = {{ get $value $name | toJson }}{{ end -}} }
{{- else if kindIs "float64" $value }}
{{ $key }} = {{ if eq (floor $value) $value }}{{ int64 $value }}{{ else }}{{ $value | toJson }}{{ end }}
{{- else }}
{{ $key }} = {{ $value | toJson }}
{{- end }}
{{- end }}
{{ end }}
{{- end -}}
