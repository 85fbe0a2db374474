# Where the path of a passthrough request goes: the location gives way to
# base_url, and a rewritten path, which no longer begins with it, stays whole.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port }, conf => <<'EOC')->start;
    llm_provider a { dialect openai; base_url http://127.0.0.1:%%UP%%/v1; }
    server {
        listen 127.0.0.1:%%PORT%%;
        location /plain/ { llm_endpoint passthrough; llm_pass a; }
        location /bare   { llm_endpoint passthrough; llm_pass a; }
        location /pt/    { rewrite ^/pt/(.*)$ /$1 break; llm_endpoint passthrough; llm_pass a; }
        location ~ /re/  { llm_endpoint passthrough; llm_pass a; }
    }
EOC

$up->on('/*' => reply(200, {}, '{"fine":1}'));

for my $t ([ '/plain/files?limit=2', '/v1/files?limit=2' ], [ '/bare/files', '/v1/files' ],
           [ '/pt/files?limit=2&a=b%20c', '/v1/files?limit=2&a=b%20c' ], [ '/pt/f', '/v1/f' ],
           [ '/some/re/files', '/v1/some/re/files' ]) {
    is($gw->get($t->[0])->status, 200, $t->[0]);
    is(($up->received)[-1]{path}, $t->[1], "... asks for $t->[1]");
}

finish();
