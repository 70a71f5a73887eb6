# Each machine has a role of its own: it reads its own secrets and attaches its own disk.

resource "aws_iam_role" "host" {
  for_each = local.hosts

  name = "${var.name}-${each.key}"
  tags = var.tags

  lifecycle {
    precondition {
      condition     = length("${var.name}-${each.key}") <= 64
      error_message = "The role ${var.name}-${each.key} would have a name of more than 64 characters: choose a shorter `name`."
    }
  }

  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Principal = { Service = "ec2.${local.service}" }, Action = "sts:AssumeRole" }]
  })
}

resource "aws_iam_role_policy" "host" {
  for_each = local.hosts

  name = "own-secrets-and-disk"
  role = aws_iam_role.host[each.key].name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      { Sid = "ReadOwnSecrets", Effect = "Allow", Action = "s3:GetObject", Resource = "${aws_s3_bucket.secrets.arn}/${each.key}/*" },
      { Sid = "ListOwnSecrets", Effect = "Allow", Action = "s3:ListBucket", Resource = aws_s3_bucket.secrets.arn, Condition = { StringLike = { "s3:prefix" = "${each.key}/*" } } },
      { Sid = "DecryptSecrets", Effect = "Allow", Action = "kms:Decrypt", Resource = aws_kms_key.this.arn, Condition = { StringEquals = { "kms:ViaService" = "s3.${local.aws}.${local.service}" } } },
      { Sid = "AttachOwnDisk", Effect = "Allow", Action = "ec2:AttachVolume", Resource = aws_ebs_volume.data[each.key].arn },
      {
        Sid       = "AttachToItself", Effect = "Allow", Action = "ec2:AttachVolume"
        Resource  = "arn:${local.partition}:ec2:${local.aws}:${local.account}:instance/*"
        Condition = { StringEquals = { "aws:ResourceTag/AtollHost" = "${var.name}-${each.key}" } }
      },
      # What attaching an encrypted volume asks of the one who does it.
      { Sid = "LetDiskUseKey", Effect = "Allow", Action = "kms:CreateGrant", Resource = aws_kms_key.this.arn, Condition = { Bool = { "kms:GrantIsForAWSResource" = "true" }, StringEquals = { "kms:ViaService" = "ec2.${local.aws}.${local.service}" } } },
      { Sid = "UseKeyForDisk", Effect = "Allow", Action = ["kms:Decrypt", "kms:DescribeKey"], Resource = aws_kms_key.this.arn, Condition = { StringEquals = { "kms:ViaService" = "ec2.${local.aws}.${local.service}" } } },
    ]
  })
}

resource "aws_iam_role_policy_attachment" "host" {
  for_each = { for pair in setproduct(keys(local.hosts), var.machine_policies) : "${pair[0]} ${pair[1]}" => { host = pair[0], policy = pair[1] } }

  role       = aws_iam_role.host[each.value.host].name
  policy_arn = each.value.policy
}

resource "aws_iam_instance_profile" "host" {
  for_each = local.hosts

  name = "${var.name}-${each.key}"
  role = aws_iam_role.host[each.key].name
  tags = var.tags
}
