# Google's own client, unchanged but for the base URL, passed through.

use lib 't/lib';
use Test::LLM;
use FindBin ();

my $dir = $ENV{LLM_SDK} // "$FindBin::Bin/../../build/sdk";
plan skip_all => 'the client package is not installed (build/sdk)'
    unless -d "$dir/node_modules/\@google/genai";

my $up = Test::LLM::Upstream->new;
sub json { [ [ json => fixture_text("gemini/$_[0]") ] ] }
sub http { [ [ 'http-file', fixture("gemini/$_[0].http") ] ] }

my %models = (
    chat => json('generate.response.json'),
    stream => [ [ slice => '31 0' ], [ 'sse-file', fixture('gemini/stream.sse') ] ],
    midway => [ [ 'sse-file', fixture('gemini/stream.error-midway.sse') ] ],
    tools => json('generate.tools.response.json'),
    schema => json('generate.json-schema.response.json'),
    blocked => json('generate.prompt-blocked.response.json'),
    embed => json('batch-embed.response.json'),
    minute => http('error.429-minute'),
    invalid => http('error.400-invalid'),
    busy => http('error.503'),
);
$up->on({ path => "/v1beta/models/$_:*" } => $models{$_}) for keys %models;

my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port }, env => { KEY_A => 'AIzaSyAlpha0001' }, conf => <<'EOC')->start;
    llm_zone t:4m;
    llm_key_pool k { key env:KEY_A; cooldown off; }
    llm_provider gemini { dialect gemini; base_url http://127.0.0.1:%%UP%%/v1beta; keys k; breaker off; }
    server {
        listen 127.0.0.1:%%PORT%%;
        llm_retry off;
        location /v1beta/ { llm_pass gemini; llm_endpoint passthrough; }
    }
EOC

local @ENV{qw(LLM_SDK BASE)} = ($dir, 'http://127.0.0.1:' . $gw->port);
open my $run, '-|', 'node', "$FindBin::Bin/genai.cjs" or die "node: $!";
my $end;
while (my $line = <$run>) {
    my $check = from_json($line) or next;
    $end = 1, next if $check->{end};
    ok($check->{ok}, $check->{name}) or diag to_json($check->{detail});
}
close $run;
ok($end, 'ran to its end');

my @keys = map { $_->{h}{'x-goog-api-key'} } $up->received;
cmp_ok(scalar(@keys), '>=', 11, 'all of it came to the provider');
is(scalar(grep { $_ ne 'AIzaSyAlpha0001' } @keys), 0, '... with a key of ours, not of the caller');

finish();
