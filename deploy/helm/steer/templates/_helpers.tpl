{{- define "steer.name" -}}
{{ eq .Values.mode "unload" | ternary "steer-unload" "steer" }}
{{- end }}

{{/* Labels of every object. */}}
{{- define "steer.labels" -}}
app.kubernetes.io/name: {{ include "steer.name" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{- define "steer.account" -}}
{{ .Values.serviceAccount.name | default "steer" }}
{{- end }}

{{- define "steer.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end }}

{{/* What each container has: the image, the node's kernel, the node's files. */}}
{{- define "steer.container" -}}
image: {{ include "steer.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  privileged: true
  readOnlyRootFilesystem: true
resources:
  {{- toYaml .Values.resources | nindent 2 }}
volumeMounts:
  - {name: bpf, mountPath: /sys/fs/bpf, mountPropagation: Bidirectional}
  {{- if ne .Values.mode "unload" }}
  - {name: cgroup, mountPath: /host/cgroup}
  {{- end }}
  - {name: state, mountPath: /run/steer}
  - {name: tmp, mountPath: /tmp}
{{- end }}
